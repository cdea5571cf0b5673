"""Say clearly what is missing before anything is installed.

Runs with the system's Python, so it uses nothing but the standard library and old syntax.
"""

import re
import shutil
import sys
from pathlib import Path

NEEDED_PYTHON = (3, 11)
NEEDED_DISK_MIB = 4096
ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Return 0 when this machine can run the project, else 1 after saying why."""
    if sys.version_info < NEEDED_PYTHON:
        print(
            "Python {}.{} is too old: 3.11 or newer is needed (PYTHON=/path/to/python3.11 make up).".format(*sys.version_info[:2]),
            file=sys.stderr,
        )
        return 1
    if "--write-uv-lock" in sys.argv:
        write_uv_lock()
        return 0
    free_mib = shutil.disk_usage(str(ROOT)).free // (1024 * 1024)
    if free_mib < NEEDED_DISK_MIB:
        print(
            "Only {} MiB are free in {}: at least {} MiB are needed.".format(free_mib, ROOT, NEEDED_DISK_MIB),
            file=sys.stderr,
        )
        return 1
    print(
        "Setting up: about 900 MB of Python packages (a Java runtime and PostgreSQL 18 among them) and 60 MB of "
        "Kafka's jars are downloaded once, then cached."
    )
    return 0


def write_uv_lock() -> None:
    """Copy the installer's own hash lines out of requirements.lock."""
    lock = (ROOT / "requirements.lock").read_text()
    found = re.search(r"^uv==.*?(?=^\S)", lock, re.DOTALL | re.MULTILINE)
    if found is None:
        raise SystemExit("requirements.lock has no line for uv")
    lines = [line for line in found.group(0).splitlines() if not line.strip().startswith("#")]
    header = "# The installer itself, hash-locked: the same lines as in requirements.lock."
    (ROOT / "deploy/local/uv.requirements.txt").write_text("\n".join([header, *lines]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
