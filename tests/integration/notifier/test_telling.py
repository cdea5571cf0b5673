"""The notifier on a real log with real receivers: what is told, once, and what is not.

Source: docs/adr/0029-the-notifier-commits-what-it-sent.md.
"""

from pathlib import Path

import pytest

from support.notices import ChainWriter, Endpoint, Stand, a_revert, write_rules

pytestmark = pytest.mark.servers


def test_what_an_accepted_tick_says_is_told_once(stand: Stand, endpoint: Endpoint, tmp_path: Path) -> None:
    chain = ChainWriter(stand.broker)
    chain.tick(a_revert("old-bot"))
    stand.notifier(write_rules(tmp_path / "rules.yaml", {"once": {"url": endpoint.url}}))

    chain.tick(a_revert("no-seal"), sealed=False)
    chain.tick(*[a_revert(f"bot-{number}") for number in range(1_000)])

    stand.until_told(endpoint, 1)
    assert [notice.title for notice in endpoint.taken] == ["Autonomy: 1,000 bots reverted to LAB"]
