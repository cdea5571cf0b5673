"""What a policy file would change: a policy is always the whole one, so what a file leaves out goes back to the default.

Place in the flow: file and policy in force → **this** → `policy set`. Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple

from autonomy.policy import read_policy
from autonomy.policy_values import values_of


class Change(NamedTuple):
    """One value of the policy.

    Attributes:
        field: its path, with dots.
        now, then: None where there is none, as of a stage that a table no longer names.
        said: whether the file names it; otherwise the default comes back.
    """

    field: str
    now: object
    then: object
    said: bool

    @property
    def words(self) -> str:
        """The change in one line."""
        now, then = ("nothing" if value is None else value for value in (self.now, self.then))
        note = "" if self.said else "  (not in the file)" if self.then is None else "  (not in the file: the default)"
        return f"{self.field}: {now} → {then}{note}"


def changes_of(in_force: Mapping[str, object], file: Mapping[str, object]) -> list[Change]:
    """The values that differ once the file's policy is in force, by field.

    Raises:
        BadInput: the file is no policy; names the field and the limit.
    """
    before, named = dict(values_of(in_force)), dict(values_of(file))
    after = dict(values_of(read_policy(file).model_dump(mode="json")))
    missing = object()
    return [
        Change(path, before.get(path), after.get(path), any(path == name or path.startswith(f"{name}.") for name in named))
        for path in sorted(before.keys() | after.keys())
        if before.get(path, missing) != after.get(path, missing)
    ]
