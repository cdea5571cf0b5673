"""`make up` starts the notifier where it has rules, and only there; what it starts with holds no address.

Source: docs/notifier.md.
"""

from pathlib import Path

import pytest

from autonomy.errors import Broken
from autonomy_cli.doctor import Status, notifier_check, told
from local_stack.examining import check_rules
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from local_stack.supervise import Program
from support.notices import SECRET, write_rules
from support.servers import free_port


def programs(tmp_path: Path, rules: Path | None) -> dict[str, Program]:
    """What would be started beside servers of somebody else's."""
    settings = StackSettings(
        data_dir=tmp_path / "stack" / "data",
        external_kafka="127.0.0.1:1",
        external_postgres="postgresql://x@127.0.0.1/x",
        notify_rules=rules,
    )
    settings.data_dir.mkdir(parents=True)
    return {program.name: program for program in Stack(settings).services()}


def test_without_rules_it_is_not_started_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "notifier" not in programs(tmp_path, None)
    Stack(StackSettings(data_dir=tmp_path)).say_where()
    assert "Notifier     off: nobody is told anything" in capsys.readouterr().out
    assert StackSettings.model_validate({"NOTIFY_RULES": ""}).notify_rules is None, "an empty name is none"
    assert "NOTIFIER_PORT" not in StackSettings().ports()


def test_with_rules_it_is_started_last_and_stopped_first_and_is_told_their_place_alone(tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules.yaml", {"hook": {"url": f"json://127.0.0.1/{SECRET}"}})
    found = programs(tmp_path, rules)
    notifier = found["notifier"]
    assert notifier.environment["NOTIFY_RULES"] == str(rules)
    assert "DATABASE_URL" not in notifier.environment
    assert notifier.priority > max(program.priority for name, program in found.items() if name != "notifier")
    assert SECRET not in notifier.section(tmp_path)
    assert "NOTIFIER_PORT" in StackSettings(notify_rules=rules).ports()


def test_wrong_rules_are_refused_before_anything_starts(tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules.yaml", {"hook": {"url": f"jsonn://127.0.0.1/{SECRET}"}})
    with pytest.raises(Broken, match=r"NOTIFY_RULES: .*rules\.yaml:\d+: receivers\.hook\.url: apprise knows no such address") as refusal:
        check_rules(rules)
    assert SECRET not in str(refusal.value)
    check_rules(None)


def test_doctor_tells_off_from_dead_and_from_a_receiver_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFIER_PORT", str(free_port()))
    monkeypatch.setenv("NOTIFY_RULES", "")
    assert (notifier_check().status, notifier_check().found) == (Status.WARNING, "off: nobody is told what happens")
    monkeypatch.setenv("NOTIFY_RULES", "rules.yaml")
    assert (notifier_check().status, "does not answer" in notifier_check().found) == (Status.FAILED, True)
    well = {"name": "mail", "failingSince": None, "problem": None, "waiting": 0}
    ill = {"name": "hook", "failingSince": "2026-11-30T12:00:00.000Z", "problem": "it could not be reached", "waiting": 3}
    assert told([well]).status is Status.OK
    assert (told([well, ill]).status, "hook takes nothing since 2026" in told([well, ill]).found) == (Status.FAILED, True)
