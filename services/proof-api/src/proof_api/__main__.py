"""Start the proof API."""

import sys

from autonomy.http_server import Door, build_server
from autonomy.telemetry import set_up
from proof_api.app import create_app
from proof_api.context import Context
from proof_api.settings import ProofSettings


def main() -> int:
    """Serve until told to stop."""
    settings = ProofSettings()
    set_up("proof-api", settings.log_level)
    door = Door()
    app = create_app(settings, door)

    def end_streams() -> None:
        context: Context | None = getattr(app.state, "context", None)
        if context is not None:
            context.end_streams()

    server = build_server(app, settings.host, settings.port, end_streams, door)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
