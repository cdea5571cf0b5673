"""Start the Bots page."""

import sys

import uvicorn

from autonomy.telemetry import set_up
from bots_ui.app import create_app
from bots_ui.settings import UiSettings

STOP_WITHIN_S = 2
"""Open streams never end by themselves."""


def main() -> int:
    """Serve until told to stop."""
    settings = UiSettings()
    set_up("bots-ui", settings.log_level, settings.metrics_port)
    uvicorn.run(
        create_app(settings), host=settings.host, port=settings.port, log_config=None, access_log=False,
        timeout_graceful_shutdown=STOP_WITHIN_S, server_header=False,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
