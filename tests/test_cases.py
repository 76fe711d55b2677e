"""Each folder of ``tests/cases`` is a small repository and what trainci says about it. A new case is a new folder.

``base/`` is the commit that the base branch points to. On it comes one commit with ``renamed`` (``old -> new``,
one a line), ``deleted`` (one path a line) and the files of ``change/``; then ``uncommitted/``, which stays so.
``command`` holds the commands, one a line: ``[NAME=VALUE…] trainci …``, or ``cd DIRECTORY`` for those after it.
``git`` holds one line where the repository is a special one; see ``_SPECIAL``.
``expected`` holds what they said, standard error marked with ``!``. UPDATE_CASES=1 writes it anew: read the diff.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_CASES = Path(__file__).with_name("cases")
_NAMES = sorted(path.parent.name for path in _CASES.glob("*/command"))


@pytest.mark.parametrize("name", _NAMES)
def test_case(name: str, repository: Any, new_repository: Callable[[], Any]) -> None:
    case = _CASES / name
    special = _lines(case / "git")
    repository = _SPECIAL[special[0] if special else "plain"](case, repository, new_repository)
    if (case / "uncommitted").is_dir():
        _copy(case / "uncommitted", repository)
    said = _say(repository, _lines(case / "command"))
    expected = case / "expected"
    if os.environ.get("UPDATE_CASES"):
        expected.write_text(said)
    assert said == expected.read_text()


def _say(repository: Any, commands: list[str]) -> str:
    directory, parts = ".", []
    for command in commands:
        words = shlex.split(command)
        if words[0] == "cd":
            directory = words[1]
            continue
        start = words.index("trainci")
        environment = dict(assignment.split("=", 1) for assignment in words[:start])
        said = repository.trainci(*words[start + 1 :], directory=directory, environment=environment)
        complaints = "".join(f"! {line}\n" for line in said.err.splitlines())
        parts.append(f"$ {command}\nexit {said.code}\n{said.out}{complaints}")
    text = "\n".join(parts)
    text = text.replace("Python {}.{}".format(*sys.version_info), "Python <version>")
    return text.replace(str(repository.root), "<repository>").replace(sys.executable, "python")


def _plain(case: Path, repository: Any, _: Any) -> Any:
    _copy_base(case, repository)
    repository.init()
    _change(case, repository)
    return repository


def _no_repository(case: Path, repository: Any, _: Any) -> Any:
    _copy_base(case, repository)
    return repository


def _no_commit(case: Path, repository: Any, _: Any) -> Any:
    _copy_base(case, repository)
    repository.git("init", "--quiet")
    return repository


def _no_base(case: Path, repository: Any, new_repository: Any) -> Any:
    _plain(case, repository, new_repository)
    repository.git("update-ref", "-d", "refs/remotes/origin/main")
    return repository


def _unrelated(case: Path, repository: Any, new_repository: Any) -> Any:
    _plain(case, repository, new_repository)
    other = repository.git("commit-tree", "HEAD^{tree}", "-m", "no parent")
    repository.git("update-ref", "refs/remotes/origin/main", other)
    return repository


def _shallow(case: Path, repository: Any, new_repository: Any) -> Any:
    """What actions/checkout leaves: the last commit of the branch, and of the base branch, and nothing between."""
    origin = repository
    _copy_base(case, origin)
    origin.init()
    origin.git("checkout", "--quiet", "-b", "feature")
    _change(case, origin)
    origin.git("checkout", "--quiet", "main")
    origin.commit("main goes on")
    clone = new_repository()
    clone.git("clone", "--quiet", "--depth", "1", "--branch", "feature", f"file://{origin.root}", ".")
    clone.git("fetch", "--quiet", "--depth", "1", "origin", "main:refs/remotes/origin/main")
    return clone


_SPECIAL: dict[str, Callable[[Path, Any, Any], Any]] = {
    "plain": _plain,
    "no repository": _no_repository,
    "no commit": _no_commit,
    "no base branch": _no_base,
    "no common commit": _unrelated,
    "shallow clone": _shallow,
}


def _copy_base(case: Path, repository: Any) -> None:
    if (case / "base").is_dir():
        _copy(case / "base", repository)


def _copy(source: Path, repository: Any) -> None:
    # Without the times: git takes a file of the same size and time for the same file.
    shutil.copytree(source, repository.root, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _change(case: Path, repository: Any) -> None:
    for line in _lines(case / "renamed"):
        repository.git("mv", *line.split(" -> "))
    for line in _lines(case / "deleted"):
        repository.git("rm", "--quiet", line)
    if (case / "change").is_dir():
        _copy(case / "change", repository)
    repository.commit()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []
