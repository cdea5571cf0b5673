"""Start the proof API."""

import sys

import uvicorn

from autonomy.telemetry import set_up
from proof_api.app import create_app
from proof_api.settings import ProofSettings


def main() -> int:
    """Serve until told to stop."""
    settings = ProofSettings()
    set_up("proof-api", settings.log_level)
    uvicorn.run(
        create_app(settings), host=settings.host, port=settings.port, log_config=None, access_log=False,
        timeout_graceful_shutdown=2, server_header=False,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
