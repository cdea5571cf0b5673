"""Failures are counted for each by itself, up to a bound, and forgotten after a minute."""

from autonomy.throttle import MAX_ACCOUNTS, Throttle


def test_who_fails_too_often_is_over_and_nobody_else() -> None:
    throttle = Throttle(3)
    assert [throttle.failed("a", 0.0) for _ in range(5)] == [False, False, False, True, True]
    assert not throttle.failed("b", 1.0)
    assert throttle.over == 2


def test_a_minute_later_it_may_fail_again_also_when_it_never_paused() -> None:
    throttle = Throttle(3)
    over = [throttle.failed("a", float(second)) for second in range(180)]
    assert 8 <= over.count(False) <= 9


def test_a_flood_of_accounts_is_bounded() -> None:
    throttle = Throttle(1)
    for number in range(MAX_ACCOUNTS + 500):
        throttle.failed(str(number), 0.0)
    assert len(throttle.failures) == MAX_ACCOUNTS
    assert throttle.failed(str(MAX_ACCOUNTS + 499), 0.0), "the newest are kept"
