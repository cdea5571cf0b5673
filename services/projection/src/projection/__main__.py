"""Start the projection."""

import asyncio
import sys

from autonomy.cluster import run_on_log
from autonomy.telemetry import set_up
from projection.app import run_projection
from projection.settings import ProjectionSettings


def main() -> int:
    """Run until told to stop."""
    settings = ProjectionSettings()
    set_up("projection", settings.log_level, settings.metrics_port)
    return asyncio.run(run_on_log(settings.kafka, lambda: run_projection(settings)))


if __name__ == "__main__":
    sys.exit(main())
