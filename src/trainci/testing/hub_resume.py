"""Goes on with files of the Hugging Face Hub that a killed download left half done.

huggingface_hub gives each download a temporary file of its own since version 1.12, and begins it anew after a kill.
"""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path
from typing import Any

from trainci.testing.hub_cache import RepoCache


def resume(cache: RepoCache, kind: str, repo_id: str, revision: str) -> None:
    """Finish what was left half done in ``cache``, or remove it, so that the library begins it anew.

    Whatever goes wrong here goes wrong again in the library, which says it better.
    """
    for etag, partial in cache.leftovers():
        with contextlib.suppress(Exception):
            _finish(cache, etag, partial, kind, repo_id, revision)
        partial.unlink(missing_ok=True)


def _finish(cache: RepoCache, etag: str, partial: Path, kind: str, repo_id: str, revision: str) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    found = _file(etag, kind, repo_id, revision)
    # Xet, where it is there, fetches the parts of a file in any order and remembers them itself.
    if found is None or (getattr(found, "xet_hash", None) and importlib.util.find_spec("hf_xet")):
        return
    there = partial.stat().st_size
    if not 0 < there <= found.size:
        return
    what = f"{kind} {repo_id}@{revision}"
    print(f"{what}: going on with {found.path} after {there} of {found.size} bytes", flush=True)  # noqa: T201
    url = hf_hub_url(repo_id, found.path, repo_type=kind, revision=revision)
    with partial.open("ab") as file:
        http_get(url, file, resume_size=there, headers=build_hf_headers(), expected_size=found.size)
    cache.adopt(etag, partial)


def _file(etag: str, kind: str, repo_id: str, revision: str) -> Any:
    """The file of the repository whose content has this name; None if there is none any more."""
    from huggingface_hub import HfApi

    for entry in HfApi().list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=kind):
        large = getattr(entry, "lfs", None)
        if etag == (large.sha256 if large else getattr(entry, "blob_id", None)):
            return entry
    return None
