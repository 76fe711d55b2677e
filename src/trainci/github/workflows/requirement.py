"""Whether a job can install trainci by the name that the workflow gives to pip."""

from __future__ import annotations

import json
import re
from importlib import metadata
from typing import Any

# A name with or without versions, which pip looks up in an index.
_BY_NAME = re.compile(r"\s*trainci\s*(\[[^]]*\])?\s*([=<>!~].*)?", re.IGNORECASE)


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
    try:
        source = json.loads(written)
    except ValueError:
        return ""
    address = _address(source) if isinstance(source, dict) else ""
    instead = f"trainci @ {address}" if address else "trainci @ git+https://…@COMMIT"
    return (
        f"the jobs install {requirement} from an index, and this trainci did not come from one, so they may find "
        f'none or another one. Write `[workflow] trainci = "{instead}"`.'
    )


def _address(source: dict[str, Any]) -> str:
    """What pip installs the same from, anywhere; empty for a folder or a file of this machine."""
    url, vcs = str(source.get("url", "")), source.get("vcs_info")
    if not url.startswith("https://"):
        return ""
    return f"{vcs.get('vcs')}+{url}@{vcs.get('commit_id')}" if isinstance(vcs, dict) else url
