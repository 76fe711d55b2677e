"""Runs git, always with ``-z`` where names are read: a file's name may hold anything but a NUL.

A checkout is not trusted: no call runs what a committed file or the repository's settings name as a command, and a
bare repository that is committed in a folder is never taken for the repository.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from trainci.errors import UsageError
from trainci.model.selection import Change
from trainci.text import counted, listed, printable

_NO_GIT = "git is not installed, and changed tests are found with it. Install git."
# The rest (GIT_DIR, GIT_INDEX_FILE, …) is what git tells its hooks, and would mean another repository here.
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM")
# What else a repository's settings could have git start, or wait for. Empty is off for every version of git.
_SETTINGS = {
    "core.fsmonitor": "",
    "core.hooksPath": os.devnull,
    "core.askPass": "",
    "credential.helper": "",
    "protocol.ext.allow": "never",
    "safe.bareRepository": "explicit",
}
_PLAIN_DIFF = ("--no-ext-diff", "--no-textconv")
# The scopes of a repository's own settings. `git lfs install --local` writes some, and so does actions/checkout.
_OWN = ("local", "worktree")
_OF_LFS = re.compile(r"git-lfs (?:(?:clean|smudge)(?: --skip)? -- %f|filter-process(?: --skip)?)")
_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class Comparison:
    """What differs from ``fork_point``, the commit that HEAD and the base have in common.

    ``notes`` are sentences about what cannot be seen by comparing.
    """

    changes: tuple[Change, ...]
    fork_point: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What git knows below a folder, tracked or untracked but not ignored, as POSIX paths from there."""

    files: frozenset[str]
    links: frozenset[str]
    submodules: frozenset[str]


def compare(root: Path, base: str, *, uncommitted: bool) -> Comparison:
    """What differs below ``root`` from the merge base with ``base``, with paths relative to ``root``.

    ``base`` is a branch or a commit, such as the one that a push replaced. ``uncommitted`` adds what the working
    tree holds beyond HEAD, untracked files included.

    :raises UsageError: no repository, no such commit, no merge base, or no git.
    """
    if shutil.which("git") is None:
        raise UsageError(_NO_GIT)
    found = _repository(root)
    probe = _run(root, "rev-parse", "--is-inside-work-tree")
    if found is None or probe.returncode != 0:
        reason = _last_line(probe.stderr) if found else "there is no .git in it or above it"
        raise UsageError(
            f"{root} is not a git repository that can be read ({reason}), so changed tests cannot be found. "
            "Run inside a clone, or name the tests instead of --changed."
        )
    head_commit = _run(root, "rev-parse", "--verify", "--quiet", "HEAD").stdout.decode().strip()
    if not head_commit:
        raise UsageError("the repository has no commit yet, so nothing can have changed. Commit first.")
    fork_point = _merge_base(root, base)
    compared = [fork_point] if uncommitted else [fork_point, "HEAD"]
    diff = _diff(root, "--name-status", "--find-renames", "--relative", *compared, "--", ".")
    changes = parse_name_status(diff)
    if uncommitted:
        untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard")
        changes += [Change("A", path) for path in _paths(untracked)]
    notes = []
    if fork_point == head_commit and not uncommitted:
        notes.append(
            f"HEAD holds nothing beyond {printable(base)}, so nothing differs. On a push to it, name the commit "
            "before the push with --base."
        )
    folder = root.resolve().relative_to(found.resolve()).as_posix()
    if folder != ".":
        names = _paths(_diff(root, "--name-only", "--no-renames", "--no-relative", *compared, "--", ":/"))
        if outside := [name for name in names if not name.startswith(f"{folder}/")]:
            notes.append(
                f"{counted(len(outside), 'changed file')} outside {printable(folder)}, the folder of trainci.toml, "
                f"not followed: {listed(outside)}."
            )
    return Comparison(tuple(changes), fork_point, tuple(notes))


def text_at(root: Path, commit: str, path: str) -> bytes | None:
    """The content of a file below ``root`` as ``commit`` holds it, or None where it holds none."""
    found = _run(root, "cat-file", "blob", f"{commit}:./{path}")
    return found.stdout if found.returncode == 0 else None


def listing(root: Path) -> Listing | None:
    """The files below ``root``; None outside a repository, or without git."""
    if shutil.which("git") is None or _repository(root) is None:
        return None
    tracked = _run(root, "ls-files", "-z", "--stage")
    untracked = _run(root, "ls-files", "-z", "--others", "--exclude-standard")
    if tracked.returncode or untracked.returncode:
        return None
    modes = {path: entry[:6] for entry in _paths(tracked.stdout) for _, _, path in [entry.partition("\t")]}
    # What is not tracked has no mode; a repository inside this one ends in a slash.
    for path in _paths(untracked.stdout):
        kind = _SUBMODULE if path.endswith("/") else _LINK if (root / path).is_symlink() else ""
        modes[path.rstrip("/")] = kind
    by_mode = {
        kind: frozenset(path for path, mode in modes.items() if mode == kind) for kind in (_LINK, _SUBMODULE)
    }
    others = frozenset(modes) - by_mode[_LINK] - by_mode[_SUBMODULE]
    return Listing(others, by_mode[_LINK], by_mode[_SUBMODULE])


def top_level(directory: Path) -> Path | None:
    """The root of the repository that ``directory`` lies in; None outside of one, or without git."""
    if shutil.which("git") is None:
        return None
    done = _run(directory, "rev-parse", "--show-toplevel")
    return Path(os.fsdecode(done.stdout.rstrip(b"\n"))) if done.returncode == 0 and done.stdout.strip() else None


def default_branch(root: Path) -> str:
    """The branch that ``origin/HEAD`` names; "" where no clone has said it."""
    done = _run(root, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
    name = os.fsdecode(done.stdout.rstrip(b"\n"))
    return name.removeprefix("refs/remotes/origin/") if done.returncode == 0 else ""


def likely_base(root: Path) -> str:
    """The branch that others start from, where no clone has said it: by its name, or as the only one; "" else.

    Those of ``origin`` count; where there is none yet, those of this repository, the first of which may be unborn.
    """
    names = _branches(root, "refs/remotes/origin/") or _branches(root, "refs/heads/")
    if not names:
        done = _run(root, "symbolic-ref", "--quiet", "HEAD")
        names = [os.fsdecode(done.stdout.rstrip(b"\n")).removeprefix("refs/heads/")] if done.returncode == 0 else []
    usual = [name for name in ("main", "master") if name in names]
    return usual[0] if usual else names[0] if len(names) == 1 else ""


def _branches(root: Path, prefix: str) -> list[str]:
    done = _run(root, "for-each-ref", "--format=%(refname)", prefix)
    return [os.fsdecode(line).removeprefix(prefix) for line in done.stdout.splitlines()]


def parse_name_status(output: bytes) -> list[Change]:
    """Parse ``git diff -z --name-status``: a status, then one path, or two for a rename or a copy.

    Format: https://git-scm.com/docs/git-diff (raw output format, ``-z``).

    :raises UsageError: it ends in the middle of an entry.
    """
    fields = output.split(b"\0")[:-1]
    found: list[Change] = []
    position = 0
    while position < len(fields):
        status = fields[position][:1].decode("ascii", "replace")
        width = 2 if status in ("R", "C") else 1
        paths = [os.fsdecode(field) for field in fields[position + 1 : position + 1 + width]]
        if len(paths) < width:
            raise UsageError("git's list of changes ended in the middle of an entry; run `git fsck`.")
        found.append(Change(status, paths[-1], paths[0] if width == 2 else ""))
        position += 1 + width
    return found


def head(root: Path) -> str:
    """The commit that is checked out, with ``+`` when tracked files differ; empty outside a repository."""
    try:
        if shutil.which("git") is None or _repository(root) is None:
            return ""
    except UsageError:
        return ""
    commit = _run(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if commit.returncode != 0:
        return ""
    dirty = _run(root, *_no_filters(root), "diff", *_PLAIN_DIFF, "--quiet", "HEAD").returncode == 1
    return commit.stdout.decode().strip() + ("+" if dirty else "")


def is_on(root: Path, commit: str, branch: str) -> bool:
    """Whether ``commit`` (see ``head``) is one of ``branch``, as origin has it or, without origin, as it is here.

    What is not committed is on no branch.
    """
    if not commit or commit.endswith("+"):
        return False
    names = (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}")
    there = [name for name in names if _run(root, "rev-parse", "--verify", "--quiet", name).returncode == 0]
    return bool(there) and _run(root, "merge-base", "--is-ancestor", commit, there[0]).returncode == 0


def commits(root: Path, ref: str, most: int) -> tuple[str, ...]:
    """The newest commits that ``ref`` holds, at most so many; none where this clone does not know it."""
    done = _run(root, "rev-list", f"--max-count={most}", "--end-of-options", ref, "--")
    return tuple(done.stdout.decode().split()) if done.returncode == 0 else ()


def _repository(root: Path) -> Path | None:
    """The folder whose ``.git`` is the repository of ``root``; None when there is none.

    Looked for here, because git would take the committed files of a bare repository for one, and only git 2.38
    and later can be told not to.

    :raises UsageError: it belongs to somebody else than ``root`` does, so its settings are not to be trusted.
    """
    start = root.resolve()
    ceilings = {Path(path).resolve() for path in os.environ.get("GIT_CEILING_DIRECTORIES", "").split(":") if path}
    for folder in (start, *start.parents):
        if folder in ceilings and folder != start:
            return None
        git_folder = folder / ".git"
        if os.path.lexists(git_folder):
            # In a job's container a checkout may belong to another user as a whole, and is run all the same.
            if git_folder.lstat().st_uid not in (0, os.geteuid(), start.stat().st_uid):
                shown, below = printable(str(git_folder)), printable(str(start))
                raise UsageError(
                    f"{shown} belongs to neither you nor the owner of {below}, so "
                    "git is not run there. Remove it, or move the repository out of that folder."
                )
            return folder
    return None


def _merge_base(root: Path, base: str) -> str:
    shown = printable(base)
    shallow = _run(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    if _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}").returncode != 0:
        remote, _, branch = base.partition("/")
        source, refspec = (remote, f"{branch}:refs/remotes/{base}") if branch else ("origin", f"{base}:{base}")
        if is_commit := re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", base):
            refspec = base
        kind, clone = "commit" if is_commit else "branch", "shallow clone" if shallow else "clone"
        raise UsageError(
            f"the base {kind} {shown} is not in this {clone}, so changed tests cannot be found. Fetch it "
            f"(`{printable(shlex.join(['git', 'fetch', source, refspec]))}`), or name another with --base."
        )
    found = _run(root, "merge-base", "--end-of-options", base, "HEAD")
    if found.returncode == 0:
        return found.stdout.decode().strip()
    if shallow:
        raise UsageError(
            f"this clone is too shallow to hold the commit that HEAD and {shown} have in common. Run "
            "`git fetch --unshallow`, or set `fetch-depth: 0` on actions/checkout."
        )
    raise UsageError(f"HEAD and {shown} have no commit in common. Name the branch you forked from with --base.")


def _diff(root: Path, *arguments: str) -> bytes:
    return _git(root, *_no_filters(root), "diff", *_PLAIN_DIFF, "--ignore-submodules=none", "-z", *arguments)


def _no_filters(root: Path) -> list[str]:
    """Settings that turn the filters off that the repository itself has git start: all but those of git-lfs.

    :raises UsageError: no setting can turn one off.
    """
    said = _run(root, "config", "-z", "--show-scope", "--get-regexp", r"^filter\..*\.(clean|smudge|process)$")
    words = said.stdout.decode("utf-8", "surrogateescape").split("\0")
    found = [entry.partition("\n") for scope, entry in zip(words[::2], words[1::2], strict=False) if scope in _OWN]
    filters = dict.fromkeys(key.rpartition(".")[0] for key, _, value in found if not _OF_LFS.fullmatch(value))
    if strange := [name for name in filters if "=" in name]:
        raise UsageError(
            f"the settings of {root} have a {printable(strange[0])}, which nothing turns off. Remove it."
        )
    off = ("clean=", "smudge=", "process=", "required=false")
    return [word for name in filters for setting in off for word in ("-c", f"{name}.{setting}")]


def _paths(output: bytes) -> list[str]:
    return [os.fsdecode(path) for path in output.split(b"\0") if path]


def _git(root: Path, *arguments: str) -> bytes:
    done = _run(root, *arguments)
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed in {root}: {_last_line(done.stderr)}")
    return done.stdout


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    folder = _repository(root) or root
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT
    }
    # Optional locks off: a status or diff of ours must not disturb a git command of the user's.
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    place = [f"--git-dir={folder}/.git", f"--work-tree={folder}", "-c", f"safe.directory={folder}"]
    return subprocess.run(
        ["git", "--no-pager", "-C", str(root), *place, *settings, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        check=False,
    )


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1]) if lines else "no message"
