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
from trainci.model.selection import Change

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
    return set(git.compare(repository.root, "origin/main", uncommitted=uncommitted).changes)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
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


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
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
        repository.write(file, "NUM_GPUS = 1\nif __name__ == '__main__':\n    run()\n")
    repository.commit()
    repository.write(files[0], "NUM_GPUS = 1\nif __name__ == '__main__':\n    run()\n")
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
    found = set(git.compare(repository.root / "project", "origin/main", uncommitted=True).changes)
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
        git.compare(repository.root, "origin/main", uncommitted=False)


@given(base=st.text("-/a~^@{}: \n'\"$é", min_size=1, max_size=6))
@settings(max_examples=15)
def test_any_base_is_a_branch_or_a_sentence(new_repository: Callable[[], Any], base: str) -> None:
    assume("\0" not in base)
    repository = new_repository()
    repository.init()
    try:
        git.compare(repository.root, base, uncommitted=False)
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


def _trap(repository: Any) -> tuple[str, Any]:
    """A command that leaves a trace, and where."""
    trace = repository.root.parent / f"{repository.root.name}-ran"
    script = repository.root.parent / f"{repository.root.name}-trap"
    script.write_text(f"#!/bin/sh\ntouch '{trace}'\ncat >/dev/null\n")
    script.chmod(0o755)
    return str(script), trace


def _look(root: Any) -> None:
    git.compare(root, "origin/main", uncommitted=True)
    git.compare(root, "origin/main", uncommitted=False)
    git.listing(root)
    git.text_at(root, "HEAD", "a.py")
    git.head(root)


def test_a_bare_repository_that_is_committed_runs_nothing_and_hides_nothing(repository: Any) -> None:
    """As a pull request may commit it: beside trainci.toml, where git would take it for the repository."""
    command, trace = _trap(repository)
    repository.write("project/HEAD", "ref: refs/heads/main\n")
    setting = f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = {command}\n"
    repository.write("project/config", setting)
    repository.write("project/objects/.keep")
    repository.write("project/refs/.keep")
    repository.write("project/a.py")
    repository.init()
    repository.write("project/b.py")
    repository.commit()
    found = git.compare(repository.root / "project", "origin/main", uncommitted=True)
    _look(repository.root / "project")
    assert found.changes == (Change("A", "b.py"),)
    assert not trace.exists()


@pytest.mark.parametrize(
    "setting",
    [
        "core.fsmonitor",
        "core.hooksPath",
        "diff.external",
        "diff.trap.textconv",
        "diff.trap.command",
        "core.pager",
        "filter.trap.clean",
        "filter.trap.process",
    ],
)
def test_looking_runs_no_command_that_the_repository_names(repository: Any, setting: str) -> None:
    command, trace = _trap(repository)
    repository.write(".gitattributes", "* diff=trap filter=trap\n")
    repository.write("a.py", "1\n")
    repository.init()
    repository.write("hooks/post-index-change", f"#!/bin/sh\nexec {command}\n").chmod(0o755)
    repository.write("a.py", "2\n")
    repository.git("config", setting, str(repository.root / "hooks") if setting == "core.hooksPath" else command)
    if setting.startswith("filter"):
        repository.git("config", "filter.trap.required", "true")
    _look(repository.root)
    assert not trace.exists()


def test_looking_runs_no_command_that_a_submodule_names(repository: Any, new_repository: Callable[[], Any]) -> None:
    command, trace = _trap(repository)
    other = new_repository()
    other.write("b.py", "1\n")
    other.init()
    repository.write("a.py")
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.root), "sub")
    repository.commit()
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repository.git("-C", "sub", "config", "core.fsmonitor", command)
    repository.write("sub/b.py", "22\n")
    assert _changes(repository, uncommitted=True) == {Change("M", "sub")}
    _look(repository.root)
    assert not trace.exists()


def test_what_git_tells_its_hooks_is_not_heeded(
    repository: Any, new_repository: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook has GIT_DIR and friends in its environment: every test was "added"."""
    other = new_repository()
    other.write("x.py")
    other.init()
    repository.write("a.py", "1\n")
    repository.init()
    repository.write("a.py", "2\n")
    repository.commit()
    for name, value in {
        "GIT_DIR": other.root / ".git",
        "GIT_WORK_TREE": other.root,
        "GIT_INDEX_FILE": other.root / ".git/index.lock",
        "GIT_PREFIX": "tests/",
        "GIT_OBJECT_DIRECTORY": other.root,
        "GIT_COMMON_DIR": other.root,
        "GIT_NAMESPACE": "x",
        "GIT_LITERAL_PATHSPECS": "x",
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_CONFIG_PARAMETERS": "'diff.noprefix=",
        "GIT_CONFIG_COUNT": "x",
    }.items():
        monkeypatch.setenv(name, str(value))
    assert git.compare(repository.root, "origin/main", uncommitted=True).changes == (Change("M", "a.py"),)
    listed = git.listing(repository.root)
    assert listed is not None and listed.files == {"a.py"}
    assert len(git.head(repository.root)) == 40


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_repository_above_that_belongs_to_somebody_else_is_refused(repository: Any) -> None:
    """Anybody may put a .git into a folder such as /tmp, above somebody's files."""
    command, trace = _trap(repository)
    repository.write("project/a.py")
    repository.init()
    repository.git("config", "core.fsmonitor", command)
    os.chown(repository.root / ".git", 65534, 65534)
    with pytest.raises(UsageError, match="belongs to neither you nor the owner"):
        git.compare(repository.root / "project", "origin/main", uncommitted=True)
    assert git.head(repository.root / "project") == ""
    assert not trace.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to another user")
def test_changes_of_a_checkout_that_belongs_to_another_user_are_found(repository: Any) -> None:
    repository.write("a.py")
    repository.init()
    repository.write("b.py")
    repository.commit()
    for path in (repository.root, repository.root / ".git"):
        os.chown(path, 65534, 65534)
    assert _changes(repository) == {Change("A", "b.py")}


def test_a_push_is_compared_with_the_commit_before_it(repository: Any) -> None:
    repository.write("a.py")
    repository.init()
    before = repository.git("rev-parse", "HEAD")
    repository.write("b.py")
    repository.commit()
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    found = git.compare(repository.root, before, uncommitted=False)
    assert (found.changes, found.fork_point, found.notes) == ((Change("A", "b.py"),), before, ())
    itself = git.compare(repository.root, "origin/main", uncommitted=False)
    assert itself.changes == ()
    assert "HEAD holds nothing beyond origin/main" in itself.notes[0] and "--base" in itself.notes[0]


def test_a_commit_that_is_not_in_the_clone_is_to_be_fetched(
    repository: Any, new_repository: Callable[[], Any]
) -> None:
    repository.write("a.py")
    repository.init()
    before = repository.git("rev-parse", "HEAD")
    repository.commit()
    clone = new_repository()
    clone.git("clone", "--quiet", "--depth", "1", f"file://{repository.root}", ".")
    with pytest.raises(UsageError) as caught:
        git.compare(clone.root, before, uncommitted=False)
    assert f"the base commit {before} is not in this shallow clone" in str(caught.value)
    assert f"`git fetch origin {before}`" in str(caught.value)


def test_what_changed_outside_the_folder_of_the_project_is_said(repository: Any) -> None:
    repository.write("lib.py", "1\n")
    repository.write("project/a.py")
    repository.init()
    repository.write("lib.py", "2\n")
    repository.write("project/b.py")
    repository.commit()
    found = git.compare(repository.root / "project", "origin/main", uncommitted=False)
    assert found.changes == (Change("A", "b.py"),)
    (note,) = found.notes
    assert note == "1 changed file outside project, the folder of trainci.toml, not followed: lib.py."


def test_files_links_and_submodules_are_told_apart(repository: Any, new_repository: Callable[[], Any]) -> None:
    other = new_repository()
    other.write("b.py", "1\n")
    other.init()
    repository.write(".gitignore", "ignored.py\n")
    repository.write("a b.py")
    (repository.root / "link.py").symlink_to("a b.py")
    repository.init()
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.root), "sub")
    repository.commit()
    repository.write("ignored.py")
    repository.write("new.py")
    (repository.root / "new_link.py").symlink_to("/etc/passwd")
    found = git.listing(repository.root)
    assert found == git.Listing(
        frozenset({".gitignore", ".gitmodules", "a b.py", "new.py"}),
        frozenset({"link.py", "new_link.py"}),
        frozenset({"sub"}),
    )


def test_a_worktree_is_a_repository(repository: Any, new_repository: Callable[[], Any]) -> None:
    repository.write("a.py")
    repository.init()
    tree = new_repository()
    repository.git("worktree", "add", "--quiet", "-b", "topic", str(tree.root))
    tree.write("b.py")
    tree.commit()
    assert _changes(tree) == {Change("A", "b.py")}


def test_a_file_is_read_as_a_commit_holds_it(repository: Any) -> None:
    repository.write("project/trainci.toml", "old")
    repository.init()
    repository.write("project/trainci.toml", "new")
    assert git.text_at(repository.root / "project", "HEAD", "trainci.toml") == b"old"
    assert git.text_at(repository.root / "project", "HEAD", "none.toml") is None


def test_the_newest_commits_of_a_branch_and_none_of_one_that_is_not_there(repository):
    repository.write("a", "1")
    repository.init()
    repository.write("a", "2")
    repository.commit()
    newest, first = repository.git("rev-list", "HEAD").split()
    assert git.commits(repository.root, "HEAD", 9) == (newest, first)
    assert git.commits(repository.root, "HEAD", 1) == (newest,)
    assert git.commits(repository.root, "origin/gone", 9) == git.commits(repository.root, "--all", 9) == ()


def test_a_commit_is_on_the_base_branch_or_on_none(repository: Any, new_repository: Callable[[], Any]) -> None:
    def is_on(branch: str) -> bool:
        return git.is_on(repository.root, git.head(repository.root), branch)

    repository.write("a.txt", "one")
    assert not is_on("main"), "no repository yet"
    repository.init()
    assert is_on("main") and not is_on("trunk")
    repository.write("a.txt", "two")
    assert not is_on("main"), "what is not committed is on no branch"
    repository.commit()
    # Here main is what was committed just now; what counts is what everybody has.
    assert not is_on("main")
    repository.git("update-ref", "-d", "refs/remotes/origin/main")
    assert is_on("main"), "without an origin it is the branch here"
    repository.git("checkout", "--quiet", "--detach", "HEAD~1")
    assert is_on("main"), "an older commit of it"
    repository.git("checkout", "--quiet", "--orphan", "main-of-a-fork")
    repository.commit("elsewhere")
    assert not is_on("main")
