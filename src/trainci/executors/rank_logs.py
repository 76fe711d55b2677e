"""What torchrun kept apart of a job's ranks, where it was told to (``--redirects``) and given no folder.

Format: torch 2.6 to 2.13 (DefaultLogsSpecs), ``<folder>/<run>/attempt_<number>/<local rank>/stderr.log``; beside it
error.json, what raised in a function under ``@record`` (ErrorHandler.record_exception). All of it is the job's own:
what is read is bounded, and no link is followed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from trainci.executors.base import Job
from trainci.host.files import open_plain
from trainci.output.redaction import Redactor
from trainci.paths import RunPaths

_TRACEBACK = "Traceback (most recent call last):"
_NUMBERED = re.compile(r"(?:attempt_)?(\d{1,6})$")
_MOST_RANKS = 64
_MOST_ENTRIES = 10_000
_END_BYTES = 1 << 16
_LOG_BYTES = 1 << 20


def variables(job: Job) -> dict[str, str]:
    """Where torchrun is to keep them, which a test's or a user's own word goes before."""
    return {"PET_LOG_DIR": os.environ.get("PET_LOG_DIR", str(RunPaths.ranks(job.log)))}


def tracebacks(job: Job) -> str:
    """Those at the end of what each rank printed that are not in the log already, the first that ended first.

    Of a rank that printed none, the one that torch recorded of it.

    Each line is as torchrun shows it where it redirects nothing: ``[default1]:ValueError: …``.
    """
    said = _end(job.log, _LOG_BYTES)[0]
    found = []
    for rank, folder in _kept(RunPaths.ranks(job.log)):
        text, at = _end(folder / "stderr.log", _END_BYTES)
        if _TRACEBACK not in text:
            text, at = _recorded(folder / "error.json")
        lines = text[max(0, text.find(_TRACEBACK)) :].rstrip().splitlines()
        if lines and _TRACEBACK in lines[0] and lines[-1] not in said:
            found.append((at, rank, [f"[default{rank}]:{line}\n" for line in lines]))
    return "".join(line for _, _, lines in sorted(found) for line in lines)


def keep(job: Job, secrets: Sequence[str]) -> None:
    """Leave what torchrun kept, past us, of each rank beside the log, without ``secrets``."""
    folder = RunPaths.ranks(job.log)
    for path in islice(_files(folder), _MOST_ENTRIES) if secrets else ():
        try:
            _mask_file(path, Redactor(secrets))
        except OSError:
            # There is no room for another: then none stays.
            with contextlib.suppress(OSError):
                path.unlink()
    with contextlib.suppress(OSError):  # there is none
        folder.rename(RunPaths.kept_ranks(job.log))


def _mask_file(path: Path, redactor: Redactor) -> None:
    masked = path.with_name(f".trainci-{os.urandom(8).hex()}")
    with open_plain(path) as file, masked.open("xb") as target:
        try:
            while data := file.read(_LOG_BYTES):
                target.write(redactor.feed(data))
            target.write(redactor.flush())
            masked.replace(path)
        except OSError:
            masked.unlink()
            raise


def _files(folder: Path) -> Iterator[Path]:
    left = [str(folder)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in list(islice(entries, _MOST_ENTRIES)):
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)


def _kept(folder: Path) -> Iterator[tuple[int, Path]]:
    """The ranks of the newest attempt of the newest run, and the folder of each."""
    for run in sorted(_folders(folder), key=_written)[-1:]:
        attempts = [entry for entry in _folders(run.path) if _NUMBERED.match(entry.name)]
        for attempt in sorted(attempts, key=_number)[-1:]:
            ranks = [entry for entry in _folders(attempt.path) if entry.name.isdecimal()]
            for rank in sorted(ranks, key=_number)[:_MOST_RANKS]:
                yield _number(rank), Path(rank.path)


def _folders(path: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in islice(entries, _MOST_ENTRIES) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _written(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0


def _number(entry: os.DirEntry[str]) -> int:
    match = _NUMBERED.match(entry.name)
    return int(match[1]) if match else -1


def _recorded(path: Path) -> tuple[str, float]:
    """The traceback in an error.json, and when it was written; nothing of what is none."""
    text, at = _end(path, _END_BYTES)
    try:
        said = json.loads(text)["message"]["extraInfo"]["py_callstack"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", at
    return said if isinstance(said, str) else "", at


def _end(path: Path, size: int) -> tuple[str, float]:
    """The last ``size`` bytes of a file, and when it was written last; nothing of what cannot be read."""
    try:
        with open_plain(path) as file:
            known = os.fstat(file.fileno())
            file.seek(max(0, known.st_size - size))
            return file.read(size).decode("utf-8", "replace"), known.st_mtime
    except OSError:
        return "", 0.0
