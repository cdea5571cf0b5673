"""What `make up` looks at beside its servers: the rules of the notifier before it starts, and what `autonomy doctor` finds at its end."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from autonomy.errors import BadInput, Broken
from local_stack.settings import ROOT
from notifier.rules import load_rules


def check_rules(file: Path | None) -> None:
    """Refuse to start with rules that the notifier could not take.

    Raises:
        Broken: names file, line, field and limit.
    """
    if file is None:
        return
    try:
        load_rules(file.resolve())
    except BadInput as refusal:
        raise Broken(f"NOTIFY_RULES: {refusal}") from refusal


def examine(environment: Mapping[str, str]) -> None:
    """Say what `autonomy doctor` finds wrong; it is the same as by hand."""
    words = [sys.executable, "-W", "ignore", "-m", "autonomy_cli.main", "doctor", "--json"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=dict(environment), cwd=ROOT)
    try:
        checks = json.loads(done.stdout)["checks"]
    except (ValueError, KeyError):
        print(f"  Doctor       could not run: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return
    wrong = [check for check in checks if check["status"] != "ok"]
    print(f"  Doctor       {len(checks) - len(wrong)} of {len(checks)} checks are well (autonomy doctor shows them)")
    for check in wrong:
        print(f"               {check['status']}: {check['name']}: {check['found']} {check['hint']}".rstrip(), file=sys.stderr)
