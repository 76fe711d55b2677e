"""One repository in the cache of huggingface_hub, and what must be true of it.

Its layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): ``snapshots/<commit>/<file>`` is a
link to ``blobs/<etag>``, where the etag is the SHA-256 of a large file, or the id that git gives a small one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_ID = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 20
ABANDONED_S = 3600.0
"""A file that is still being fetched is written to far more often."""


class Damaged(Exception):
    """A file is not what the Hub says it is. It has been removed."""


class RepoCache:
    """``root`` is the cache, ``kind`` "model" or "dataset". Whoever changes anything holds ``lock``."""

    def __init__(self, root: Path, kind: str, repo_id: str) -> None:
        name = "--".join([f"{kind}s", *repo_id.split("/")])
        self._directory = root / name
        self.lock = root / ".trainci" / f"{name}.lock"
        self._verified = root / ".trainci" / f"{name}.json"

    def remove_leftovers(self, now: float) -> None:
        """Remove what killed downloads left half done, which the library never goes on with.

        That is what was not written to since ABANDONED_S before ``now``: another may download without us.
        """
        for partial in self._directory.glob("blobs/*.incomplete"):
            with contextlib.suppress(OSError):
                if now - partial.stat().st_mtime > ABANDONED_S:
                    partial.unlink()

    def verify(self, snapshot: Path) -> None:
        """Compare every file of a snapshot with its hash; those that were compared before only with their size.

        :raises Damaged: one differs.
        """
        known = self._read_verified()
        for link in sorted(snapshot.rglob("*")):
            if not link.is_symlink():
                continue
            etag = link.readlink().name
            if not (_SHA256.fullmatch(etag) or _GIT_ID.fullmatch(etag)):
                continue
            blob = link.resolve()
            if not blob.exists():
                link.unlink()
                raise Damaged(f"{link.name}: is not in the cache, though its name is")
            status = blob.stat()
            seen = [status.st_size, status.st_mtime_ns]
            if known.get(etag) == seen:
                continue
            if _hash(blob, status.st_size, etag) != etag:
                blob.unlink()
                link.unlink()
                raise Damaged(f"{link.name}: arrived damaged: its hash is not {etag}")
            known[etag] = seen
        self._write_verified(known)

    def _read_verified(self) -> dict[str, list[int]]:
        try:
            known = json.loads(self._verified.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write_verified(self, known: dict[str, list[int]]) -> None:
        temporary = self._verified.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(known))
            temporary.replace(self._verified)
        except OSError:
            return  # a cache that is only read is compared each time


def _hash(blob: Path, size: int, etag: str) -> str:
    digest = hashlib.sha256() if _SHA256.fullmatch(etag) else hashlib.sha1(b"blob %d\0" % size)
    with blob.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
