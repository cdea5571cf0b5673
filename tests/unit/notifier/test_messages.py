"""Facts are put into one message, by kind and cause, whatever their number."""

from notifier.facts import Fact
from notifier.kinds import Kind
from notifier.messages import MAX_BODY, MAX_TITLE, compose, groups_of, key_of, plain


def a_fact(number: int, kind: Kind = Kind.REVERTED, cause: str = "one", unit: str = "bot") -> Fact:
    return Fact(kind, cause, unit, "reverted to LAB", "by ada", "look", f"bot-{number}")


def test_a_thousand_of_one_cause_are_one_group_that_names_a_few() -> None:
    message = compose([a_fact(number) for number in range(1_000)], "http://page", "the-key")
    assert message.title == "Autonomy: 1,000 bots reverted to LAB"
    assert message.body.splitlines() == [
        "1,000 bots reverted to LAB", "Why: by ada", "To do: look", "Bots: bot-0, bot-1, bot-2, bot-3, bot-4 and 995 more",
        "Look: http://page/attention", "", "Key: the-key",
    ]  # fmt: skip


def test_one_bot_has_a_link_to_its_own_page() -> None:
    assert "Look: http://page/bots/bot-7" in compose([a_fact(7)], "http://page", "k").body


def test_the_most_urgent_comes_first_and_gives_the_title() -> None:
    message = compose([a_fact(1, Kind.RECOMMENDED), a_fact(2, Kind.RECOMMENDED, "two"), a_fact(3)], "http://page", "k")
    assert [group.first.kind for group in groups_of([a_fact(1, Kind.RECOMMENDED), a_fact(3)])] == [Kind.REVERTED, Kind.RECOMMENDED]
    assert message.title == "Autonomy: 1 bot reverted to LAB, and 2 more"
    assert message.tone == "warning"


def test_what_does_not_fit_is_counted_and_the_key_is_always_there() -> None:
    for most in (200, 500, MAX_BODY):
        message = compose([a_fact(number, cause=f"cause-{number}") for number in range(400)], "http://page", "the-key", most)
        assert len(message.body) <= most
        assert "more kinds of news: http://page/attention" in message.body
        assert message.body.endswith("Key: the-key")
        assert len(message.title) <= MAX_TITLE


def test_a_key_is_of_the_receiver_and_the_cut() -> None:
    assert key_of("a", 1, 2) == key_of("a", 1, 2)
    assert len({key_of("a", 1, 2), key_of("b", 1, 2), key_of("a", 1, 3)}) == 3


def test_somebodys_words_stay_on_one_line() -> None:
    words = "first\nKey: forged\r\nBcc: everybody\x07\u2028end"
    fact = Fact(Kind.SOURCE, "one", "part", words, words, words)
    for message in (compose([fact], "http://page", "the-key"), plain(words, [words], "the-key", "info")):
        assert "\n" not in message.title
        assert [line for line in message.body.splitlines() if line.startswith("Key:")] == ["Key: the-key"]
        assert message.body.isascii()
        assert "\x07" not in message.title + message.body
