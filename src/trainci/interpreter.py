"""The Python that tests run on: that of the project, which need not be the one that trainci is installed in."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

# What uv and pipx leave in the environment of a tool, which holds nothing of a project.
_TOOLS_OWN = ("uv-receipt.toml", "pipx_metadata.json")


def default_python(root: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The interpreter of the active environment, else of ``.venv`` in ``root``, else the one of this process.

    Where trainci is a tool in an environment of its own, the first on PATH comes before that: that of an image.
    """
    for folder in (environment.get("VIRTUAL_ENV"), environment.get("CONDA_PREFIX"), str(root / ".venv")):
        python = Path(folder, "bin", "python") if folder else None
        if python is not None and os.access(python, os.X_OK) and python.is_file():
            return (str(python),)
    path = environment.get("PATH")
    on_path = shutil.which("python3", path=path) or shutil.which("python", path=path)
    if on_path and any(Path(sys.prefix, name).exists() for name in _TOOLS_OWN):
        return (on_path,)
    return (sys.executable,)


def search_path(python: tuple[str, ...], root: Path, path: str) -> str:
    """``path`` with the folder of the interpreter first. A launcher of several words puts it there by itself."""
    if len(python) != 1:
        return path
    word = python[0]
    found = str(root / word) if "/" in word else shutil.which(word, path=path)
    return os.pathsep.join(part for part in (str(Path(found).parent), path) if part) if found else path


def is_missing(python: tuple[str, ...], root: Path, path: str) -> bool:
    """Whether the words of an interpreter begin with a program that is not there."""
    word = python[0]
    return shutil.which(str(root / word) if "/" in word else word, path=path) is None
