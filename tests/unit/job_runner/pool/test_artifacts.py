"""The content-addressed store."""

from pathlib import Path

import pytest

from autonomy.artifacts import ArtifactMissing, ArtifactStore
from autonomy.errors import BadInput, Broken


def test_what_was_put_is_got(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    reference = store.put(b"report")
    assert store.get(reference) == b"report"


def test_putting_twice_is_putting_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path.as_uri())
    assert store.put(b"report") == store.put(b"report")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_damage_is_noticed(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    reference = store.put(b"report")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(b"retort")
    with pytest.raises(Broken, match="does not hold"):
        store.get(reference)


def test_a_torn_file_is_written_again(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    reference = store.put(b"report")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    file.write_bytes(b"rep")
    assert store.put(b"report") == reference
    assert store.get(reference) == b"report"


@pytest.mark.parametrize("reference", ["", "sha256:", "../../etc/passwd", "sha256:" + "g" * 64, "sha256:" + "a" * 65])
def test_what_is_no_reference_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(BadInput, match="sha256"):
        ArtifactStore(str(tmp_path)).get(reference)


def test_a_missing_artifact_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing):
        ArtifactStore(str(tmp_path)).get("sha256:" + "a" * 64)
