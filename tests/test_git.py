"""Against real repositories: git itself is the other side of this room."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from trainci import git
from trainci.errors import UsageError
from trainci.model import Change

# Bytes of names that have hurt somebody: white space, quotes, shell, options, no text at all.
_PIECES = [
    b"a",
    b" ",
    b"\n",
    b"\t",
    b"'",
    b'"',
    b"$(touch x)",
    b"`",
    b"\\",
    b"\\n",
    b"-",
    b"--x",
    b"\xff",
    "é".encode(),
]
_PIECES += [
    b"\x1b[31m",
    b"*",
    b"[",
    b"]",
    b"?",
    b":",
    b"::error::",
    b"%0A",
    b",",
    b"\r",
    b";",
    b"&",
    b"|",
    b"#",
    b"\x7f",
]
_NAMES = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4).map(b"".join)


def _changes(repository: Any, *, uncommitted: bool = False) -> set[Change]:
    return set(git.changes(repository.root, "origin/main", uncommitted=uncommitted))


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(_NAMES, min_size=5, max_size=12, unique=True))
def test_any_name_comes_back_from_git_as_it_is(new_repository: Callable[[], Any], names: list[bytes]) -> None:
    repository = new_repository()
    added, modified, deleted, renamed, untracked = names[:5]
    kept = names[5:]
    for name in (modified, deleted, renamed, *kept):
        repository.write(b"tests/" + name, name + b"\n" + b"same\n" * 20)
    repository.init()
    repository.write(b"tests/" + added, "new\n")
    repository.write(b"tests/" + modified, "other\n")
    (repository.root / "tests" / os.fsdecode(deleted)).unlink()
    (repository.root / "moved").mkdir()
    (repository.root / "tests" / os.fsdecode(renamed)).rename(repository.root / "moved" / os.fsdecode(renamed))
    repository.commit()
    paths = {name: os.fsdecode(b"tests/" + name) for name in names}
    committed = {
        Change("A", paths[added]),
        Change("M", paths[modified]),
        Change("D", paths[deleted]),
        Change("R", f"moved/{os.fsdecode(renamed)}", paths[renamed]),
    }
    repository.write(b"tests/" + untracked, "new\n")
    assert _changes(repository) == committed
    assert _changes(repository, uncommitted=True) == {*committed, Change("A", paths[untracked])}


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(_NAMES.filter(lambda name: os.fsdecode(name).isprintable()), min_size=2, max_size=4, unique=True)
)
def test_any_printable_name_goes_through_a_dry_run(new_repository: Callable[[], Any], names: list[bytes]) -> None:
    _dry_run(new_repository(), names)


@pytest.mark.parametrize("name", [b"a\nb", b"\xff", b"\t", b"\r"])
def test_a_name_that_cannot_be_printed_goes_through_a_dry_run(repository: Any, name: bytes) -> None:
    _dry_run(repository, [name, b"plain"])


def _dry_run(repository: Any, names: list[bytes]) -> None:
    """One file untracked, the others committed; each takes its four lines, whatever its name holds."""
    repository.write("trainci.toml", '[suites.changed]\nselect = "changed"\n')
    repository.init()
    files = [b"tests/test_" + name + b".py" for name in names]
    for file in files[1:]:
        repository.write(file, "NUM_GPUS = 1\n")
    repository.commit()
    repository.write(files[0], "NUM_GPUS = 1\n")
    said = repository.trainci("run", "--changed", "--dry-run", "--devices", "cpu:8")
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith(f"{len(files)} tests selected. Nothing was started.\n")
    lines = said.out.split("\n")
    assert len(lines) == 4 * len(files) + 2
    assert all(line.isprintable() for line in lines)
    ids = [line for line in lines[:-2] if not line.startswith("    ")]
    assert len(set(ids)) == len(files)
    # What it prints as a test's id names that test.
    for test_id in ids:
        again = repository.trainci("run", "--id", test_id, "--dry-run", "--devices", "cpu:8")
        assert again.code == 0 and again.out.startswith(f"{test_id}\n    because: test id")


@given(st.binary(max_size=40))
def test_any_output_is_parsed_or_refused(output: bytes) -> None:
    try:
        found = git.parse_name_status(output)
    except UsageError as error:
        assert "git fsck" in str(error)
    else:
        assert all(len(change.status) <= 1 for change in found)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("AMDTUX"), _NAMES, st.just(b"")),
            st.tuples(st.sampled_from("RC"), _NAMES, _NAMES),
        )
    )
)
def test_what_is_written_with_nul_between_is_read_back(entries: list[tuple[str, bytes, bytes]]) -> None:
    output = b"".join(
        status.encode() + (b"087\0" + old + b"\0" if old else b"\0") + path + b"\0" for status, path, old in entries
    )
    expected = [Change(status, os.fsdecode(path), os.fsdecode(old)) for status, path, old in entries]
    assert git.parse_name_status(output) == expected


def test_an_entry_that_is_cut_off_is_refused() -> None:
    with pytest.raises(UsageError, match="middle of an entry"):
        git.parse_name_status(b"R100\0old\0")


def test_only_what_lies_below_the_root_counts_with_paths_from_there(repository: Any) -> None:
    repository.write("project/tests/test_a.py", "1\n" * 20)
    repository.write("outside.py", "2\n" * 20)
    repository.init()
    repository.write("project/tests/test_b.py")
    repository.write("other/test_c.py")
    repository.git("mv", "outside.py", "project/inside.py")
    repository.git("mv", "project/tests/test_a.py", "gone.py")
    repository.commit()
    repository.write("project/untracked.py")
    repository.write("untracked.py")
    found = set(git.changes(repository.root / "project", "origin/main", uncommitted=True))
    assert found == {
        Change("A", "tests/test_b.py"),
        Change("A", "inside.py"),
        Change("D", "tests/test_a.py"),
        Change("A", "untracked.py"),
    }


def test_only_what_differs_from_the_merge_base_counts(repository: Any) -> None:
    repository.write("a.py")
    repository.init()
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.write("mine.py")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("theirs.py")
    repository.commit()
    repository.git("update-ref", "refs/remotes/origin/main", "main")
    repository.git("checkout", "--quiet", "feature")
    assert _changes(repository) == {Change("A", "mine.py")}


@pytest.mark.parametrize(
    "setting",
    [
        "diff.renames=copies",
        "diff.renames=false",
        "color.ui=always",
        "diff.noprefix=true",
        "diff.mnemonicPrefix=true",
        "core.quotePath=true",
        "diff.relative=false",
        "diff.external=false",
        "core.pager=false",
        "diff.ignoreSubmodules=all",
    ],
)
def test_the_users_settings_of_git_change_nothing(repository: Any, setting: str) -> None:
    repository.write("tests/test_a.py", "1\n" * 20)
    repository.write("tests/test_b.py", "2\n" * 20)
    repository.init()
    repository.git("mv", "tests/test_a.py", "tests/test_c.py")
    repository.write("tests/test_b.py", "2\n" * 21)
    repository.commit()
    repository.git("config", *setting.split("="))
    assert _changes(repository) == {
        Change("R", "tests/test_c.py", "tests/test_a.py"),
        Change("M", "tests/test_b.py"),
    }


def test_a_change_of_mode_or_to_a_link_counts(repository: Any) -> None:
    repository.write("tests/test_a.py")
    repository.write("tests/test_b.py", "x")
    repository.init()
    (repository.root / "tests/test_a.py").chmod(0o755)
    (repository.root / "tests/test_b.py").unlink()
    (repository.root / "tests/test_b.py").symlink_to("test_a.py")
    repository.commit()
    assert _changes(repository) == {Change("M", "tests/test_a.py"), Change("T", "tests/test_b.py")}


def test_head_is_the_commit_with_a_plus_when_tracked_files_differ(repository: Any, new_repository: Any) -> None:
    assert git.head(new_repository().root) == ""
    repository.write("a.py")
    repository.init()
    commit = repository.git("rev-parse", "HEAD")
    repository.write("untracked.py")
    assert git.head(repository.root) == commit
    repository.write("a.py", "other")
    assert git.head(repository.root) == f"{commit}+"


def test_without_git_changed_tests_are_refused_and_the_commit_is_unknown(
    repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.init()
    monkeypatch.setenv("PATH", str(repository.root))
    assert git.head(repository.root) == ""
    with pytest.raises(UsageError, match="git is not installed"):
        git.changes(repository.root, "origin/main", uncommitted=False)


@given(base=st.text("-/a~^@{}: \n'\"$é", min_size=1, max_size=6))
@settings(deadline=None, max_examples=15)
def test_any_base_is_a_branch_or_a_sentence(new_repository: Callable[[], Any], base: str) -> None:
    assume("\0" not in base)
    repository = new_repository()
    repository.init()
    try:
        git.changes(repository.root, base, uncommitted=False)
    except UsageError as error:
        assert str(error).isprintable()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_the_commit_of_a_checkout_that_belongs_to_another_user_is_known(repository: Any, monkeypatch: Any) -> None:
    """As in a job's container, where root finds a checkout of the runner's user."""
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    repository.write("a.txt", "a")
    repository.init()
    commit = repository.git("rev-parse", "HEAD")
    for path in (repository.root, repository.root / ".git"):
        os.chown(path, 65534, 65534)
    assert git.head(repository.root) == commit
