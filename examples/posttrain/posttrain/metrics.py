"""What a run reports: one JSON line a step, written as it happens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def digest(weights: Mapping[str, Tensor]) -> str:
    """A SHA-256 over the names and the exact bytes of ``weights``."""
    sha = hashlib.sha256()
    for name, value in sorted(weights.items()):
        sha.update(name.encode())
        sha.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


class MetricsFile:
    """Appends rows to a file that starts empty."""

    def __init__(self, path: Path):
        self._path = path
        path.write_text("", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row; a reader sees it at once."""
        append(self._path, row)


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Write one more row at the end of the file at ``path``."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
