"""Start a planner process."""

import asyncio
import sys

from autonomy.cluster import run_on_log
from autonomy.telemetry import set_up
from planner.shell.process import run_planner
from planner.shell.settings import PlannerSettings


def main() -> int:
    """Run until told to stop."""
    settings = PlannerSettings()
    set_up("planner", settings.log_level, settings.metrics_port)
    return asyncio.run(run_on_log(settings.kafka, lambda: run_planner(settings)))


if __name__ == "__main__":
    sys.exit(main())
