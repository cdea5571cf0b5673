"""A command that changes nothing, and why.

Place in the flow: raised where commands act, answered as CommandRejected.
"""


class Refused(Exception):
    """A command that changes nothing."""

    def __init__(self, code: str, field: str, limit: str) -> None:
        super().__init__(f"{field}: {limit}")
        self.code, self.field, self.limit = code, field[:500], limit[:500]
