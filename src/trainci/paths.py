"""Every path that trainci writes below a repository, named in one place."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from trainci.errors import UsageError

STATE_VARIABLE = "TRAINCI_STATE_DIR"
EVENTS = "events.jsonl"
"""The file of a run's events, in the run's own folder."""


class StatePaths:
    """What trainci keeps of a repository between runs: ``.trainci/``, which git is told to ignore.

    ``directory`` is another place for it, ``url`` that of a history which several hosts share.
    """

    def __init__(self, root: Path, directory: Path | None = None, url: str = "") -> None:
        self.root = root
        self.url = url
        self.directory = directory or root / ".trainci"
        self.history = self.directory / "history.db"
        self.runs = self.directory / "runs"

    @property
    def place(self) -> str:
        """Where the history is, as it is shown: without who asks, and what else its URL holds."""
        return re.sub(r"//[^/@]*@", "//", self.url.partition("?")[0]) or str(self.history)

    def check(self) -> None:
        """Refuse what somebody committed in its place: nothing is written where a link leads.

        :raises UsageError: something else than plain directories and a plain file is there.
        """
        for path, is_right in (
            (self.directory, Path.is_dir),
            (self.runs, Path.is_dir),
            (self.history, Path.is_file),
        ):
            if path.is_symlink() or (path.exists() and not is_right(path)):
                what = "a symbolic link" if path.is_symlink() else "something else"
                place = path.relative_to(self.root) if path.is_relative_to(self.root) else path
                raise UsageError(f"{place} is {what}; trainci keeps its own files there. Move it away.")

    def create(self) -> None:
        """Make the directory, with a ``.gitignore`` of its own so that no commit ever holds it."""
        if not self.runs.is_dir():
            self.runs.mkdir(parents=True, exist_ok=True)
            self.share(self.runs)
        ignore = self.directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    def share(self, path: Path) -> None:
        """Let the directory's group write what was made in it, if it may write there: umasks know of no sharing."""
        may = stat.S_IRWXG if path.is_dir() else stat.S_IRGRP | stat.S_IWGRP
        # Another user made it in the same moment, or the file system knows no modes.
        with contextlib.suppress(PermissionError):
            path.chmod(stat.S_IMODE(path.stat().st_mode) | (self.directory.stat().st_mode & may))


def state_paths(root: Path, wanted: str, environment: Mapping[str, str], url: str = "") -> StatePaths:
    """Where the state of the repository at ``root`` is: in $TRAINCI_STATE_DIR, else in ``wanted``, else there.

    ``url`` is that of a shared history, empty for none.
    """
    named = environment.get(STATE_VARIABLE) or wanted
    return StatePaths(root, Path(named).expanduser().absolute() if named else None, url)


def from_here(root: Path, place: str) -> str:
    """A place below ``root`` (a path, and what follows it after a colon) as the current directory names it.

    Where that is not below ``root``, as the root names it.
    """
    path, colon, rest = place.partition(":")
    try:
        here = Path.cwd()
    except FileNotFoundError:
        # Somebody has removed it under us.
        return place
    if not path or Path(path).is_absolute() or not here.is_relative_to(root):
        return place
    return os.path.relpath(root / path, here) + colon + rest


class RunPaths:
    """The files of one run, below ``.trainci/runs/<run id>/``."""

    def __init__(self, state: StatePaths, run_id: str) -> None:
        self.root = state.root
        self.directory = state.runs / run_id
        self.events = self.directory / EVENTS
        self.plan = self.directory / "plan.json"

    def log(self, position: int, test_id: str, attempt: int) -> Path:
        """The output of one attempt. ``position`` counts the tests of the run, so that no two names meet."""
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", test_id).strip("-.")[:80]
        return self.directory / f"{position:03d}-{slug}-{attempt}.log"

    @staticmethod
    def metrics(log: Path) -> Path:
        """What the attempt with this log recorded of itself."""
        return log.with_suffix(".metrics.jsonl")

    @staticmethod
    def raw(log: Path, suffix: str) -> Path:
        """What a test leaves beside its log itself, secrets in it: who keeps a run's folder leaves out ``*.raw.*``.

        It is gone, or masked and called otherwise, once the attempt has ended.
        """
        return log.with_suffix(f".raw{suffix}")

    @staticmethod
    def results(log: Path, step: int = 0) -> Path:
        """What pytest writes of the attempt with this log, or of one step of it (from 1)."""
        return RunPaths.raw(log, f".{step}.xml" if step else ".xml")

    @staticmethod
    def steps(log: Path) -> Path:
        """What became of each step of the attempt with this log."""
        return RunPaths.raw(log, ".steps.jsonl")

    @staticmethod
    def ends(log: Path) -> Path:
        """What the processes of the attempt with this log say of how they ended, and the tests in them."""
        return RunPaths.raw(log, ".ends.jsonl")

    @staticmethod
    def probe(log: Path) -> Path:
        """The folder in which the processes of the attempt with this log answer where they are."""
        return log.with_suffix(".probe")

    @staticmethod
    def ranks(log: Path) -> Path:
        """The folder in which torchrun keeps apart what ranks of the attempt with this log print, if it is to."""
        return RunPaths.raw(log, ".ranks")

    @staticmethod
    def kept_ranks(log: Path) -> Path:
        """The same once the attempt has ended, masked."""
        return log.with_suffix(".ranks")

    def shown(self, path: Path) -> str:
        """``path`` as it is printed: relative to the repository's root if it is below it."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)
