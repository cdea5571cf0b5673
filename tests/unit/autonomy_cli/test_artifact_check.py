"""The file of a result is what the result says, or the audit names it."""

from pathlib import Path

import pytest

from autonomy.artifacts import ArtifactStore
from autonomy_cli.artifact_check import StoreUnreadable, differing_artifacts
from autonomy_cli.findings import Kind
from support.builders import a_digest


def stored(folder: Path) -> str:
    """The reference of an artefact that a runner wrote."""
    return ArtifactStore(str(folder)).put(b'{"trades": []}')


def file_of(folder: Path, reference: str) -> Path:
    digest = reference.removeprefix("sha256:")
    return folder / digest[:2] / digest


def test_whole_artefact_differs_in_nothing(tmp_path: Path) -> None:
    assert list(differing_artifacts(str(tmp_path), {stored(tmp_path): 3})) == []


@pytest.mark.parametrize("how", ["edited", "cut", "gone", "unknown", "no reference"])
def test_artefact_that_is_not_what_its_result_says_is_named(tmp_path: Path, how: str) -> None:
    reference = stored(tmp_path)
    file = file_of(tmp_path, reference)
    assert file.exists(), "it was there"
    match how:
        case "edited":
            file.write_bytes(file.read_bytes().replace(b"[]", b"[1]"))
        case "cut":
            file.write_bytes(file.read_bytes()[:-1])
        case "gone":
            file.unlink()
        case "unknown":
            reference = f"sha256:{a_digest('another')}"
        case _:
            reference = "../../etc/passwd"
    (found,) = differing_artifacts(str(tmp_path), {reference: 3})
    assert (found.tick, found.kind) == (3, Kind.ARTIFACT)
    assert reference[:40] in found.what


def test_store_that_is_not_there_is_no_clean_one(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="ARTIFACTS_URL"):
        list(differing_artifacts(str(tmp_path / "nothing"), {}))
