"""Start the Bots page."""

import sys

from autonomy.http_server import build_server
from autonomy.telemetry import set_up
from bots_ui.app import create_app
from bots_ui.context import Shared
from bots_ui.settings import UiSettings


def main() -> int:
    """Serve until told to stop."""
    settings = UiSettings()
    set_up("bots-ui", settings.log_level, settings.metrics_port)
    app = create_app(settings)

    def end_streams() -> None:
        shared: Shared | None = getattr(app.state, "shared", None)
        if shared is not None:
            shared.hub.stopping.set()

    server = build_server(app, settings.host, settings.port, end_streams)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
