"""``init`` on small repositories of the shapes of those that trainci is for; each folder of ``shapes`` is one.

``repository`` is what it reads, ``trainci.toml`` what it writes, with its summary as the last comment.
UPDATE_SHAPES=1 writes that anew: read the diff.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trainci.adopt import propose
from trainci.adopt.proposal import Entry, Place, Proposal
from trainci.adopt.tree import repository_tree

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


# A line of a CI that starts tests, told as roughly as somebody would who looks for them.
_STARTS = re.compile(r"^[^#]*\b(?:pytest|py\.test|torchrun)\s|^[^#]*\b(?:python3?|bash) (?:-m )?tests?[/.]\S")
_NO_TESTS = re.compile(r"install|uses:|name:|echo |paths|^\s*- ['\"]?tests?/|--suite|tests\.ci\b")


def _lost(proposal: Proposal, files: dict[str, str]) -> list[str]:
    """The lines of a CI that start tests and of which the proposal says nothing."""
    places = {entry.place for suite in proposal.suites for entry in _all(suite.tests)}
    places |= {note.place for note in (*proposal.notes, *proposal.left)}
    places |= {note.place for suite in proposal.suites for note in suite.notes}
    return [
        f"{file}:{number}: {line.strip()}"
        for file, text in files.items()
        for number, line in _statements(text)
        if _STARTS.search(line) and not _NO_TESTS.search(line) and Place(file, number) not in places
    ]


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The lines, each with those that continue it."""
    whole, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        whole, start = (f"{whole} {line.strip()}", start) if whole else (line, number)
        if line.endswith("\\"):
            whole = whole.removesuffix("\\")
        else:
            yield start, whole
            whole = ""


def _all(entries: Iterable[Entry]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        yield from _all(entry.steps)


@pytest.mark.parametrize("name", _NAMES)
def test_no_test_of_the_ci_is_lost_in_silence(name: str) -> None:
    root = _SHAPES / name / "repository"
    ci = [
        *root.glob(".github/workflows/*.y*ml"),
        *root.glob(".github/actions/*/*.y*ml"),
        *root.glob(".buildkite/*"),
    ]
    files = {path.relative_to(root).as_posix(): path.read_text() for path in ci}
    generated = {path.removesuffix(".j2") for path in (one.name for one in root.glob(".github/workflows/*.j2"))}
    files = {file: text for file, text in files.items() if file.rpartition("/")[2] not in generated}
    assert _lost(propose(repository_tree(root), "main"), files) == []


@pytest.mark.parametrize("name", _NAMES)
def test_what_init_writes_is_a_configuration_whose_every_suite_can_be_listed(name: str, repository: Any) -> None:
    _init(name, repository)
    assert repository.trainci("check").code != 2
    listed = repository.trainci("list")
    assert listed.code == 0, listed.err
    written = tomllib.loads((repository.root / "trainci.toml").read_text())
    assert all(suite in listed.out for suite in written["suites"])
