"""Which browser there is: Chromium without a window's parts, which needs half of the processor; else the whole one; else Playwright's."""

from pathlib import Path
from typing import Final

CHROMIUMS: Final = (Path("/usr/lib/chromium/chromium-headless-shell"), Path("/usr/bin/chromium"))


def chromium() -> str | None:
    """The machine's, as Playwright takes it; None for Playwright's own."""
    return next((str(path) for path in CHROMIUMS if path.exists()), None)
