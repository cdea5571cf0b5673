"""Start the notifier."""

import asyncio
import logging
import sys

from autonomy.errors import BadInput
from autonomy.http_server import build_server
from autonomy.telemetry import set_up
from notifier.app import create_app
from notifier.rules import load_rules
from notifier.sending import silence_libraries
from notifier.settings import NotifierSettings

log = logging.getLogger("notifier")
AGAIN_S = 5


def main() -> int:
    """Serve until told to stop."""
    settings = NotifierSettings()
    set_up("notifier", settings.log_level, settings.metrics_port)
    silence_libraries()
    try:
        rules = load_rules(settings.rules)
    except BadInput as refusal:
        log.critical("this process cannot start: %s", refusal)
        asyncio.run(asyncio.sleep(AGAIN_S))  # whoever starts it again at once would only say so faster
        return 1
    for words in rules.advice:
        log.warning("%s", words)
    server = build_server(create_app(settings, rules), settings.host, settings.port, lambda: None)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
