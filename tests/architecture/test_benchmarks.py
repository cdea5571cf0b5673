"""The benchmarks follow the code that they measure: each of them can at least be imported."""

import subprocess
import sys

from local_stack.settings import ROOT


def test_every_benchmark_imports() -> None:
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("__"))
    assert len(names) > 10
    words = "import " + ", ".join(f"benchmarks.{name}" for name in names)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
