"""Start the Bots page."""

import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from autonomy.telemetry import set_up
from bots_ui.app import Shared, create_app
from bots_ui.settings import UiSettings

STOP_WITHIN_S = 2


class Server(uvicorn.Server):
    """A server that ends the open streams first: they never end by themselves, and a lifespan's end comes after them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self.app = app

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Tell the streams, then stop as uvicorn does."""
        shared: Shared | None = getattr(self.app.state, "shared", None)
        if shared is not None:
            shared.hub.stopping.set()
        super().handle_exit(sig, frame)


def main() -> int:
    """Serve until told to stop."""
    settings = UiSettings()
    set_up("bots-ui", settings.log_level, settings.metrics_port)
    app = create_app(settings)
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, log_config=None, access_log=False,
        timeout_graceful_shutdown=STOP_WITHIN_S, server_header=False,
    )  # fmt: skip
    server = Server(config, app)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
