"""What a job gives to pip for trainci, and whether it can be had by that name."""

from __future__ import annotations

import json
import re
from importlib import metadata
from typing import Any

# A name with or without versions, which pip looks up in an index.
_BY_NAME = re.compile(r"\s*trainci\s*(\[[^]]*\])?\s*([=<>!~].*)?", re.IGNORECASE)


def installed() -> str:
    """The requirement of this very trainci: its version, or the commit or file that it came from."""
    try:
        own = metadata.distribution("trainci")
    except metadata.PackageNotFoundError:
        return "trainci"
    return _pinned(own.version, own.read_text("direct_url.json"))


def _pinned(version: str, written: str | None) -> str:
    source = _source(written)
    address = _address(source)
    return f"trainci @ {address}" if address else f"trainci=={version}"


def warning(requirement: str) -> str:
    """A sentence where ``requirement`` is a name, and this trainci came from elsewhere than an index; or nothing.

    Format of what pip wrote down: https://packaging.python.org/specifications/direct-url/.
    """
    try:
        written = metadata.distribution("trainci").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        written = None
    return _warning(requirement, written)


def _warning(requirement: str, written: str | None) -> str:
    if written is None or not _BY_NAME.fullmatch(requirement):
        return ""
    address = _address(_source(written))
    instead = f"trainci @ {address}" if address else "trainci @ git+https://…@COMMIT"
    return (
        f"the jobs install {requirement} from an index, and this trainci did not come from one, so they may find "
        f'none or another one. Write `[workflow] trainci = "{instead}"`.'
    )


def _source(written: str | None) -> dict[str, Any]:
    try:
        source = json.loads(written or "")
    except ValueError:
        return {}
    return source if isinstance(source, dict) else {}


def _address(source: dict[str, Any]) -> str:
    """What pip installs the same from, anywhere; empty for a folder or a file of this machine."""
    url, vcs = str(source.get("url", "")), source.get("vcs_info")
    if not url.startswith("https://"):
        return ""
    return f"{vcs.get('vcs')}+{url}@{vcs.get('commit_id')}" if isinstance(vcs, dict) else url
