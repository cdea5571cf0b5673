"""Compare the files of artefacts with the hashes that results name.

Place in the flow: after an audit, on request: results in the log → **this** → the store that job-runners write to. Reads only.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping

import fsspec

from autonomy_cli.findings import Difference, Kind

REFERENCE = re.compile(r"sha256:([0-9a-f]{64})")


class StoreUnreadable(Exception):
    """There is no store under this address."""


def differing_artifacts(url: str, named: Mapping[str, int]) -> Iterator[Difference]:
    """Every artefact that is not in the store, or not what its name says.

    Args:
        url: fsspec URL or folder of the store (the runners' ARTIFACTS_URL).
        named: the tick that folded the result which names it, by reference.

    Raises:
        StoreUnreadable: the store cannot be opened; then nothing was compared.
    """
    try:
        files, root = fsspec.core.url_to_fs(url)
        is_there = files.isdir(root)
    except (OSError, ValueError, ImportError) as refusal:
        raise StoreUnreadable(f"--artifacts {url}: {refusal}") from refusal
    if not is_there:
        raise StoreUnreadable(f"--artifacts {url} must be the folder that job-runners keep artefacts in (ARTIFACTS_URL)")
    for reference, tick in named.items():
        found = REFERENCE.fullmatch(reference)
        if found is None:
            yield Difference(tick, f"a result names the artefact {reference[:80]!r}, which is no reference", kind=Kind.ARTIFACT)
            continue
        try:
            content = files.cat_file(f"{root}/{found[1][:2]}/{found[1]}")
        except OSError as refusal:
            yield Difference(tick, f"artefact {reference} cannot be read: {type(refusal).__name__}", kind=Kind.ARTIFACT)
            continue
        if hashlib.sha256(content).hexdigest() != found[1]:
            yield Difference(tick, f"artefact {reference} does not hold what its name says", kind=Kind.ARTIFACT)
