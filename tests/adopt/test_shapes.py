"""``init`` on small repositories of the shapes of those that trainci is for; each folder of ``shapes`` is one.

``repository`` is what it reads, ``trainci.toml`` what it writes, with its summary as the last comment.
UPDATE_SHAPES=1 writes that anew: read the diff.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SHAPES = Path(__file__).with_name("shapes")
_NAMES = sorted(path.name for path in _SHAPES.iterdir() if path.is_dir())


def _init(name: str, repository: Any) -> tuple[str, str]:
    shutil.copytree(_SHAPES / name / "repository", repository.root, dirs_exist_ok=True)
    said = repository.trainci("init")
    assert said.code == 0, said.err
    summary = next(line for line in said.out.splitlines() if "carried over" in line)
    return (repository.root / "trainci.toml").read_text(), summary


@pytest.mark.parametrize("name", _NAMES)
def test_init_writes_what_the_ci_of_this_shape_says(name: str, repository: Any) -> None:
    text, summary = _init(name, repository)
    expected = _SHAPES / name / "trainci.toml"
    text += f"# {summary}\n"
    if os.environ.get("UPDATE_SHAPES"):
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.fixture
def document(new_repository: Callable[[], Any]) -> Callable[[str], dict[str, Any]]:
    """The parsed trainci.toml that init makes for a shape."""
    return lambda name: tomllib.loads(_init(name, new_repository())[0])
