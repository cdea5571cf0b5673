"""The glossary stays short, and says each word once.

Source: docs/glossary.md.
"""

import re
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "glossary.md"
MAX_TERMS, MAX_LINES = 60, 2


def entries_of(text: str) -> list[tuple[str, int]]:
    """The terms, in lower case, with how many lines each takes."""
    found = re.findall(r"^- \*\*(.+?)\*\*: (.+(?:\n {2}.+)*)", text, re.MULTILINE)
    return [(term.lower(), meaning.count("\n") + 1) for term, meaning in found]


def faults_of(text: str) -> list[str]:
    """What is wrong with a glossary."""
    entries = entries_of(text)
    terms = Counter(term for term, _ in entries)
    found = [f"{term} stands {count} times" for term, count in terms.items() if count > 1]
    found += [f"{term} takes {lines} lines" for term, lines in entries if lines > MAX_LINES]
    return found if len(entries) <= MAX_TERMS else [*found, f"{len(entries)} terms, at most {MAX_TERMS}"]


def test_no_term_stands_twice_and_there_are_few() -> None:
    text = PAGE.read_text()
    assert len(entries_of(text)) == len(re.findall(r"^- ", text, re.MULTILINE)) > 30, "every entry is a term and its meaning"
    assert faults_of(text) == []


def test_a_term_that_stands_twice_and_one_too_many_are_noticed() -> None:
    """Negative control."""
    assert faults_of("- **Tick**: one.\n- **tick**: two.\n") == ["tick stands 2 times"]
    many = "".join(f"- **T{number}**: a term.\n" for number in range(MAX_TERMS + 1))
    assert faults_of(many) == [f"{MAX_TERMS + 1} terms, at most {MAX_TERMS}"]
    assert faults_of("- **Long**: one\n  two\n  three\n") == ["long takes 3 lines"]
