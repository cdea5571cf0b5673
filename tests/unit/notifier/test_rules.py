"""Rules: who is told what; a refusal names file, line, field and limit, and never an address."""

from pathlib import Path

import pytest

from autonomy.errors import BadInput
from notifier.kinds import Kind
from notifier.rules import load_rules

SECRET = "s3cr3t"
GOOD = f"""page: https://bots.example/autonomy/
receivers:
  hook:
    url: json://user:{SECRET}@127.0.0.1/{SECRET}
  mail:
    url: mailto://user:{SECRET}@example.org
    spacing_s: 5
rules:
  - kinds: [all]
    to: [hook]
  - kinds: [halted, silent]
    to: [mail]
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_every_receiver_has_the_kinds_of_all_its_rules(tmp_path: Path) -> None:
    rules = load_rules(write(tmp_path, GOOD))
    assert rules.page == "https://bots.example/autonomy"
    assert {each.receiver.name: each.kinds for each in rules.listeners} == {
        "hook": frozenset(Kind), "mail": frozenset({Kind.HALTED, Kind.SILENT}),
    }  # fmt: skip
    assert [each.spacing_s for each in rules.listeners] == [60.0, 5.0]
    assert (rules.limits.planner_ms, rules.limits.log_ms, rules.limits.late_ms) == (6_000, 30_000, 180_000)
    assert rules.advice == ()


def test_an_address_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "hook.url").write_text(f"json://127.0.0.1/{SECRET}\n")
    text = GOOD.replace(f"url: json://user:{SECRET}@127.0.0.1/{SECRET}", "url_file: hook.url")
    assert load_rules(write(tmp_path, text)).listeners[0].receiver.service == "JSON"


REFUSED = {
    "no such kind": (GOOD.replace("halted,", "halted, silnet,"), 11, "rules[1].kinds[1]: must be one of all, halted, silent"),
    "no such receiver": (GOOD.replace("[mail]", "[male]"), 12, "rules[1].to[0]: must be one of the receivers hook, mail; got 'male'"),
    "nobody told": (GOOD.replace("[mail]", "[hook]"), 5, "receivers.mail: no rule tells it anything"),
    "too long a spacing": (GOOD.replace("spacing_s: 5", "spacing_s: 5000"), 7, "receivers.mail.spacing_s: Input should be less than or equal to 3600"),
    "a field too many": (GOOD.replace("spacing_s: 5", "spcing_s: 5"), 7, "receivers.mail.spcing_s: Extra inputs are not permitted"),
    "no page": (GOOD.replace("page: https", "page: ftp"), 1, "page: String should match pattern"),
    "twice": (GOOD + "page: http://other\n", 13, "page: stands twice"),
    "no scheme": (GOOD.replace("url: json", "url: jsonn"), 4, "receivers.hook.url: apprise knows no such address: its scheme is jsonn://"),
    "no address": (GOOD.replace(f"url: json://user:{SECRET}@127.0.0.1/{SECRET}", "spacing_s: 4"), 3, "receivers.hook: must have either `url` or `url_file`"),
    "no file": (GOOD.replace(f"url: json://user:{SECRET}@127.0.0.1/{SECRET}", "url_file: none"), 4, "receivers.hook.url_file: none cannot be read"),
    "several targets": (
        GOOD.replace("@example.org", "@example.org?to=a@example.org,b@example.org"), 6, "receivers.mail.url: must name one target, this one names 2",
    ),
    "no list": (GOOD.replace("kinds: [all]", "kinds: all"), 9, "rules[0].kinds: Input should be a valid list"),
    "too short a silence": (GOOD + "silence: {planner_s: 1}\n", 13, "silence.planner_s: Input should be greater than or equal to 3"),
    "no YAML": (GOOD.replace("to: [hook]", f"to: *{SECRET}"), 10, "is no YAML"),
    "empty": ("", 1, "is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_file_line_field_and_limit_and_no_secret(tmp_path: Path, name: str) -> None:
    text, line, words = REFUSED[name]
    file = write(tmp_path, text)
    with pytest.raises(BadInput) as refusal:
        load_rules(file)
    assert f"{file}:{line}: " in str(refusal.value)
    assert words in str(refusal.value)
    assert SECRET not in str(refusal.value)
    assert SECRET not in repr(refusal.value.__context__ if not refusal.value.__suppress_context__ else "")


def test_what_is_allowed_and_not_wise_is_said(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD.replace("[all]", "[drift]").replace("halted, silent", "halted"))
    file.chmod(0o644)
    assert [words.rpartition(": ")[2] for words in load_rules(file).advice] == ["chmod 600", "no rule names `silent`"]


def test_what_aliases_multiply_is_looked_at_once(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24))
    with pytest.raises(BadInput):
        load_rules(write(tmp_path, bomb))
