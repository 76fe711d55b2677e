"""Runs git, always with ``-z`` where names are read: a file's name may hold anything but a NUL."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from trainci.errors import UsageError
from trainci.model import Change
from trainci.text import printable


def changes(root: Path, base: str, *, uncommitted: bool) -> tuple[Change, ...]:
    """What differs below ``root`` from the merge base with ``base``, with paths relative to ``root``.

    ``uncommitted`` adds what the working tree holds beyond HEAD, untracked files included.

    :raises UsageError: no repository, no such branch, no merge base, or no git.
    """
    _require_repository(root)
    fork_point = _merge_base(root, base)
    target = [] if uncommitted else ["HEAD"]
    diff = _git(root, "diff", "-z", "--name-status", "--find-renames", "--relative", fork_point, *target, "--", ".")
    found = parse_name_status(diff)
    if uncommitted:
        untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard")
        found += [Change("A", os.fsdecode(path)) for path in untracked.split(b"\0") if path]
    return tuple(found)


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


def parse_name_status(output: bytes) -> list[Change]:
    """Parse ``git diff -z --name-status``: a status, then one path, or two for a rename or a copy.

    Format: https://git-scm.com/docs/git-diff (raw output format, ``-z``).
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
    if shutil.which("git") is None:
        return ""
    # In a job's container the checkout belongs to another user. Whoever asks runs the repository's code anyway.
    trusting = ("-c", "safe.directory=*")
    commit = _run(root, *trusting, "rev-parse", "HEAD")
    if commit.returncode != 0:
        return ""
    dirty = _run(root, *trusting, "diff", "--quiet", "HEAD").returncode == 1
    return commit.stdout.decode().strip() + ("+" if dirty else "")


def _require_repository(root: Path) -> None:
    if shutil.which("git") is None:
        raise UsageError("git is not installed, and changed tests are found with it. Install git.")
    probe = _run(root, "rev-parse", "--is-inside-work-tree")
    if probe.returncode != 0:
        reason = _last_line(probe.stderr)
        if "dubious ownership" in probe.stderr.decode("utf-8", "replace"):
            reason = f"it belongs to another user; run `git config --global --add safe.directory {root}`"
        raise UsageError(
            f"{root} is not a git repository that can be read ({reason}), so changed tests cannot be found. "
            "Run inside a clone, or name the tests instead of --changed."
        )
    if _run(root, "rev-parse", "--verify", "--quiet", "HEAD").returncode != 0:
        raise UsageError("the repository has no commit yet, so nothing can have changed. Commit first.")


def _merge_base(root: Path, base: str) -> str:
    shown = printable(base)
    if _run(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}").returncode != 0:
        remote, _, branch = base.partition("/")
        source, refspec = (remote, f"{branch}:refs/remotes/{base}") if branch else ("origin", f"{base}:{base}")
        raise UsageError(
            f"the base branch {shown} is not in this clone, so changed tests cannot be found. Fetch it "
            f"(`{printable(shlex.join(['git', 'fetch', source, refspec]))}`), or name another with --base."
        )
    found = _run(root, "merge-base", "--end-of-options", base, "HEAD")
    if found.returncode == 0:
        return found.stdout.decode().strip()
    if _run(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
        raise UsageError(
            f"this clone is too shallow to hold the commit that HEAD and {shown} have in common. Run "
            "`git fetch --unshallow`, or set `fetch-depth: 0` on actions/checkout."
        )
    raise UsageError(f"HEAD and {shown} have no commit in common. Name the branch you forked from with --base.")


def _git(root: Path, *arguments: str) -> bytes:
    done = _run(root, *arguments)
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed in {root}: {_last_line(done.stderr)}")
    return done.stdout


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # Optional locks off: a status or diff of ours must not disturb a git command of the user's.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, env=environment, check=False)


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1]) if lines else "no message"
