"""What the routes of one process share: the proof API's client, the hub of the open pages, sessions, templates.

Place in the flow: app builds it → **context** → routes and forms, through the frame.
"""

from dataclasses import dataclass

from jinja2 import Environment

from bots_ui.api.client import ProofApi
from bots_ui.operator.sessions import Sessions
from bots_ui.settings import UiSettings
from bots_ui.stream.hub import Hub


@dataclass(frozen=True, slots=True)
class Shared:
    """Built once per process, in the lifespan."""

    settings: UiSettings
    api: ProofApi
    hub: Hub
    sessions: Sessions
    environment: Environment
