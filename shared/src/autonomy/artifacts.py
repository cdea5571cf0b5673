"""Large results, kept by the hash of their content.

Role: a store behind an fsspec URL (a local folder by default). The name is the content, so writing twice is writing
once, a reference in the log can never come to mean something else, and what is read is checked.
"""

import hashlib
import os
import re

import fsspec

from autonomy.errors import BadInput, Broken

MAX_ARTIFACT_BYTES = 64 * 1024 * 1024

_REFERENCE = re.compile(r"sha256:([0-9a-f]{64})")


class ArtifactMissing(BadInput):
    """No artefact of this reference is in the store."""


class ArtifactStore:
    """A content-addressed store.

    Args:
        url: fsspec URL or local path of its folder, such as `s3://bucket/artifacts` or `.data/artifacts`.
    """

    def __init__(self, url: str) -> None:
        self._files, self._root = fsspec.core.url_to_fs(url)

    def put(self, content: bytes) -> str:
        """Keep the content; done already when it is there.

        Args:
            content: up to MAX_ARTIFACT_BYTES.

        Returns:
            `sha256:<hex>`.

        Raises:
            BadInput: too big.
        """
        if len(content) > MAX_ARTIFACT_BYTES:
            raise BadInput("artifact", f"at most {MAX_ARTIFACT_BYTES} bytes", len(content))
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if not self._files.exists(path) or self._files.size(path) != len(content):
            self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            # A name of its own per process: two writers of the same content never write into one file.
            unfinished = f"{path}.{os.getpid()}.part"
            self._files.pipe_file(unfinished, content)
            self._files.mv(unfinished, path)
        return f"sha256:{digest}"

    def get(self, reference: str) -> bytes:
        """The content of a reference.

        Raises:
            BadInput: not a reference.
            ArtifactMissing: not in the store.
            Broken: the stored bytes are not those of the reference.
        """
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise BadInput("artifact", "sha256: and 64 hex digits", reference)
        path = self._path(found[1])
        try:
            content = bytes(self._files.cat_file(path))
        except FileNotFoundError as missing:
            raise ArtifactMissing("artifact", "in the store", reference) from missing
        if hashlib.sha256(content).hexdigest() != found[1]:
            raise Broken(f"artefact {path} does not hold what its name says")
        return content

    def _path(self, digest: str) -> str:
        # Two levels: no folder grows beyond what tools can list.
        return f"{self._root}/{digest[:2]}/{digest}"
