"""Sizes and names that keep the code readable, and files that fit any machine.

Source: CONTRIBUTING.md, "Style", 7; docs/architecture.md, "Running it".
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MODULE_LINES, MAX_TEST_LINES, MAX_FUNCTION_LINES = 400, 600, 60
SHIPPED = ("shared", "services", "cli", "deploy")
BANNED = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
# Written in two parts, so that this file does not break its own rule.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:ho" r"me|ro" r"ot|Us" r"ers|wo" r"rk|workspa" r"ce|mnt)/\w")
REGISTRIES = re.compile(
    r"(?:pypi\.o"
    r"rg|pythonhosted\.o"
    r"rg|registry\.npmjs|registry\.yarn|repo1?\.maven|maven\.apache|artifac"
    r"tory|index-u"
    r"rl\s*=?\s*http)",
    re.IGNORECASE,
)


def committed_files() -> list[Path]:
    """Files of the repository, also those that are not added yet; ignored ones are not."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return sorted(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def python_files(*folders: str) -> list[Path]:
    """Python files below these folders."""
    return [path for path in committed_files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def long_functions(path: Path) -> list[str]:
    """Functions over the limit, with their lines."""
    tree = ast.parse(path.read_text())
    spans = [
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [f"{path}: {name} has {lines} lines" for name, lines in spans if lines > MAX_FUNCTION_LINES]


def test_module_fits() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in python_files(*SHIPPED)}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_MODULE_LINES} == {}


def test_test_module_fits() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in python_files("tests", "benchmarks")}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_TEST_LINES} == {}


def test_function_fits() -> None:
    assert [found for path in python_files(*SHIPPED) for found in long_functions(path)] == []


def test_a_function_over_the_limit_is_noticed(tmp_path: Path) -> None:
    """Negative control."""
    path = tmp_path / "long.py"
    path.write_text("def long():\n" + "    pass\n" * MAX_FUNCTION_LINES)
    assert len(long_functions(path)) == 1


def test_names_say_what_is_inside() -> None:
    named = [
        path for path in committed_files() if path.stem.strip("_").lower() in BANNED or BANNED & set(path.relative_to(ROOT).parts[:-1])
    ]
    assert named == []


def text_of(path: Path) -> str:
    """A file's text; empty for a binary one."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRIES], ids=["machine path", "registry address"])
def test_committed_files_fit_any_machine(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in committed_files()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


def test_a_machine_path_and_a_registry_are_noticed() -> None:
    """Negative control."""
    assert MACHINE_PATHS.search("open('/ho" + "me/ada/x')")
    assert REGISTRIES.search("https://files.pythonhosted.o" + "rg/packages/x")
    assert not MACHINE_PATHS.search("deploy/wo" + "rk/x")


def test_lock_holds_hashes_and_nothing_else() -> None:
    statements = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    kept = [line for line in statements if line.strip() and not line.lstrip().startswith("#")]
    assert kept
    wrong = [
        line[:80] for line in kept if not re.match(r"^[A-Za-z0-9_.\[\],-]+==\S+( ;[^\\]*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*$", line)
    ]
    assert wrong == []
