"""A policy's document value by value: its paths, and where it differs from the default.

Place in the flow: policy's document → **values** → `/api/policy`, `policy set`. Pure. It walks whatever a policy has: no value is named.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from autonomy.policy import DEFAULT, Policy


class Difference(NamedTuple):
    """One value that is not the default.

    Attributes:
        path: with dots.
        default, now: None where there is none, as of a stage that a table does not name.
    """

    path: str
    default: object
    now: object


def values_of(document: Mapping[str, object], within: str = "") -> Iterator[tuple[str, object]]:
    """Every value with its path; a list is one value."""
    for name, value in document.items():
        path = f"{within}{name}"
        if isinstance(value, Mapping) and value:
            yield from values_of(value, f"{path}.")
        else:
            yield path, value


def differences_of(policy: Policy) -> list[Difference]:
    """Where a policy differs from the default, by path; what a table leaves out, as the share of a stage, is no default."""
    default, now = (
        # A table without entries is told by those that are missing.
        {path: value for path, value in values_of(each.document()) if not isinstance(value, Mapping)}
        for each in (DEFAULT, policy)
    )
    missing = object()
    return [
        Difference(path, default.get(path), now.get(path))
        for path in sorted(default.keys() | now.keys())
        if default.get(path, missing) != now.get(path, missing)
    ]
