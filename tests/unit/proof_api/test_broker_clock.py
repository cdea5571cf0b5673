"""What time it is by the broker, from the acks of probes."""

from proof_api.proof.broker_clock import MAX_SKEW_MS, SAMPLES, BrokerClock

BROKER_MS = 1_795_348_800_000
MONO_MS = 5_000.0
OFFSET = BROKER_MS - round(MONO_MS)
HOURS_MS = 7_200_000


def heard(*took_ms: float, step_ms: int = 0) -> BrokerClock:
    """Probes that were acknowledged after so long, written half-way; the broker's clock is off by `step_ms`."""
    hours = BrokerClock()
    for number, took in enumerate(took_ms):
        said = MONO_MS + number * 1_000
        hours.see(round(OFFSET + step_ms + said + took / 2), said, said + took)
    return hours


def test_before_a_first_ack_this_machines_clock_is_all_there_is() -> None:
    assert BrokerClock().now_ms(MONO_MS, 77) == 77
    assert BrokerClock().skew_ms(MONO_MS, 77) is None


def test_a_wrong_clock_of_this_machine_changes_no_age() -> None:
    hours = heard(4, 6, 4)
    for wall_ms in (BROKER_MS, BROKER_MS + HOURS_MS, BROKER_MS - HOURS_MS):
        assert hours.now_ms(MONO_MS, wall_ms) == BROKER_MS
        assert hours.skew_ms(MONO_MS, wall_ms) == wall_ms - BROKER_MS


def test_a_probe_that_was_held_up_makes_no_clock_wrong() -> None:
    """Written at once, acknowledged seconds later: half of that would be the error."""
    hours = heard(4, 4)
    hours.see(OFFSET + 7_000, 7_000, 13_000)
    assert abs(hours.now_ms(MONO_MS, 0) - BROKER_MS) <= MAX_SKEW_MS / 2


def test_a_step_of_a_clock_is_followed_within_three_probes() -> None:
    hours = heard(*[4] * SAMPLES)
    for number in range(3):
        said = 20_000.0 + number
        hours.see(round(OFFSET + HOURS_MS + said), said, said)
    assert hours.now_ms(MONO_MS, 0) == BROKER_MS + HOURS_MS
