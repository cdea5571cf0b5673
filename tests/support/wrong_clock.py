"""A process of the platform whose wall clock is wrong: `WRONG_BY_MS`, `MODULE`. Its monotonic clock is right, as on a real machine."""

import os
import runpy
from datetime import datetime, timedelta

from autonomy import clock

if __name__ == "__main__":
    wrong_ms = int(os.environ["WRONG_BY_MS"])
    now, now_ms = clock.now, clock.now_ms

    def wrong_now() -> datetime:
        """The wall clock of this machine, as it stands."""
        return now() + timedelta(milliseconds=wrong_ms)

    clock.now, clock.now_ms = wrong_now, lambda: now_ms() + wrong_ms
    runpy.run_module(os.environ["MODULE"], run_name="__main__")
