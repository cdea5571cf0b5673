"""The three families of errors, and bad input.

    AutonomyError
    ├── Retryable      back off and try again, bounded (a broker or database that does not answer)
    │   └── Unreadable the log has a place that nobody can read; it names topic, partition and offset
    ├── Poison         this record or input can never work: quarantine it, with the reason
    │   └── BadInput   names the field and the limit
    └── Broken         an invariant does not hold: stop the process, a human must look

Expected outcomes (a lost claim, a rejected command) are values or events, never exceptions.
"""


class AutonomyError(Exception):
    """Anything this platform raises on purpose."""


class Retryable(AutonomyError):
    """The same call may work later."""


class Unreadable(Retryable):
    """The log has a place that nobody can read, or lost one: its message names topic, partition and offset, and why."""


class Poison(AutonomyError):
    """This input can never work; it goes to quarantine with the reason."""


class BadInput(Poison):
    """A value from outside that is refused.

    Args:
        field: the path of the offending field, as the sender wrote it.
        limit: what is allowed, in words, with its unit.
        value: what was given (shortened in the message).
    """

    def __init__(self, field: str, limit: str, value: object = None) -> None:
        shown = "" if value is None else f", got {str(value)[:80]!r}"
        super().__init__(f"{field}: {limit}{shown}")
        self.field = field
        self.limit = limit


class Broken(AutonomyError):
    """An invariant does not hold: halt, never guess."""
