"""A test style is one object and one entry of ``STYLES``: shown with one that trainci does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from trainci.catalog.styles import STYLES
from trainci.catalog.styles.base import Source
from trainci.model.tests import Declarations, Entry
from trainci.repository import Request, open_repository


class Batch:
    """Job scripts, which say what they need in a comment."""

    suffix = ".batch"
    leaves_results = False

    def recognises(self, source: Source) -> bool:
        return source.file.endswith(".batch")

    def read(self, source: Source) -> Declarations:
        found = re.search(r"^# GPUS: (\d+)$", (source.root / source.file).read_text(), re.MULTILINE)
        return Declarations(num_gpus=int(found[1]) if found else 0, remarks=() if found else ((2, "no GPUS line"),))

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        return ("env", f"RANKS={num_gpus}", "sh", entry.file, *entry.args)


@pytest.fixture
def with_batch() -> Iterator[None]:
    with mock.patch.dict(STYLES, {"batch": Batch(), **STYLES}, clear=True):
        yield


@pytest.fixture
def project(repository: Any, with_batch: None) -> Any:
    repository.write(
        "trainci.toml",
        '[project]\ntests = ["tests/*"]\n[suites.short]\n'
        'tests = ["tests/a.py", { path = "tests/b.batch", args = ["one word"] }]\n',
    )
    repository.write("tests/a.py", 'NUM_GPUS = 1\nif __name__ == "__main__":\n    print("a ran")\n')
    repository.write("tests/b.batch", '# GPUS: 2\necho "b ran on $RANKS: $1"\n')
    repository.write("tests/loose.batch")
    repository.write("tests/notes.txt")
    return repository


def test_a_style_that_is_added_is_found_checked_listed_and_run_beside_the_others(project: Any) -> None:
    assert project.trainci("check").out.splitlines() == [
        "tests/loose.batch:1: not registered: no label runs it. Add it to a suite of trainci.toml. [unregistered]",
        "tests/loose.batch:2: no GPUS line [lost-result]",
        "2 findings.",
    ]
    assert "tests/b.batch['one word']  2" in project.trainci("list").out
    shown = project.trainci("run", "short", "--dry-run")
    assert "    command: env RANKS=2 sh tests/b.batch 'one word'\n" in shown.out
    locks = {"TRAINCI_LOCK_DIR": str(project.root / "locks")}
    ran = project.trainci("run", "short", "--devices", "cpu:2", environment=locks)
    assert ran.code == 0 and "a ran" in ran.out and "b ran on 2: one word" in ran.out, ran


def test_what_a_style_cannot_read_is_refused_by_name_and_the_others_go_on(project: Any) -> None:
    project.write("tests/b.batch", b"\xff")
    said = project.trainci("run", "short", "--dry-run")
    assert said.code == 2
    assert "tests/b.batch['one word']\n    refused: tests/b.batch:1: does not parse: " in said.out
    assert "tests/a.py\n    because: suite short\n" in said.out


def test_a_test_starts_on_the_interpreter_that_the_repository_names(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root / "tests")
    launched = replace(open_repository(), python=("uv", "run", "python"))
    commands = [item.test.command for item in launched.select(Request(("short",))).tests]
    assert commands == [
        ("uv", "run", "python", "tests/a.py"),
        ("env", "RANKS=2", "sh", "tests/b.batch", "one word"),
    ]
