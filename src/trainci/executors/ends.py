"""What failed inside of a job: as the probe in its processes wrote it down, else as its log says it.

The file is one that the test's own code can write: it is bounded, and can turn green to red alone.
"""

from __future__ import annotations

import contextlib
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from trainci import probe
from trainci.executors.base import Job
from trainci.framework_ends import SaidFailure, ended, said_failures
from trainci.host import files
from trainci.model.run import Ending, Failure, Phase
from trainci.paths import RunPaths
from trainci.reported_ends import End, Log, failures, frameworks, read

_LARGEST = 40 << 20
_PIECE = 1 << 20
_LONGEST_WORD = len(b" error")
# What may be the name of a file in the text of a test.
_NAME = re.compile(rb"[\w.+-][\w./+-]{0,300}")
_MOST_NAMES = 5000
_LARGEST_TEXT = 1 << 19


def variables(job: Job, python_path: str) -> dict[str, str]:
    """What each Python process of ``job`` is told; ``python_path`` is its PYTHONPATH otherwise."""
    return {
        probe.ENDS_VARIABLE: str(RunPaths.ends(job.log)),
        "PYTHONPATH": probe.python_path_with(python_path),
    }


def collect(job: Job, ending: Ending, root: Path, begun: float) -> tuple[Failure, ...]:
    """What failed in ``job``, which has ended, though its exit code is 0: by the probe's word, else by its log.

    ``root`` is the repository's, ``begun`` when the job began, in seconds of the clock of its files.
    """
    if job.phase is Phase.PREPARE or not ending.passed:
        return ()
    reported = _reported(RunPaths.ends(job.log))
    with _text(job.log) as log:
        found = [
            *failures(
                reported,
                Log(
                    # As Python prints it (sys.stderr.errors).
                    shows=lambda text: log.find(text.encode("utf-8", "backslashreplace")) >= 0,
                    ended=lambda by: ended(_end_of(log), by),
                ),
                job.test.expects,
                job.test.command,
            ),
            *(
                Failure(f"{said.by} said: {said.counts}{_place(said.line, len(log))}")
                for said in (_said(log, job, reported) if _speaks_of_failures(log) else ())
                if not any(text in said.counts for text in job.test.expects.texts)
                and not _is_of_before(said, log, job, root, begun)
            ),
        ]
    return tuple(replace(one, certain=one.certain and not job.test.expects.failure) for one in found)


def _said(log: mmap.mmap | bytes, job: Job, reported: Sequence[End]) -> tuple[SaidFailure, ...]:
    is_one = job.test.leaves_results or bool(job.test.framework and job.test.file.endswith(".py"))
    return said_failures(_end_of(log), frameworks(reported), is_one=is_one)


def _is_of_before(said: SaidFailure, log: mmap.mmap | bytes, job: Job, root: Path, begun: float) -> bool:
    """A file that the test names holds these lines, and has not changed since it began: they are only shown."""
    shown = "\n".join(_end_of(log).split("\n")[max(0, said.line - 3) : said.line]).encode()
    if said.by == "pytest":
        # It has a time of its own.
        shown = shown.rpartition(b"\n")[2]
    for path in _named(job, root):
        with contextlib.suppress(OSError):
            if path.stat().st_ctime < begun and shown in files.read_plain(path, _LARGEST):
                return True
    return False


def _named(job: Job, root: Path) -> Iterator[Path]:
    """The files of the repository that the test's text, or its command, names."""
    text = " ".join(job.test.command).encode("utf-8", "replace")
    with contextlib.suppress(OSError):
        text += b"\n" + files.read_plain(root / job.test.file, _LARGEST_TEXT) if job.test.file else b""
    for name in list(dict.fromkeys(_NAME.findall(text)))[:_MOST_NAMES]:
        path = root / name.decode("utf-8", "replace")
        if name.decode("utf-8", "replace") != job.test.file and path.is_file():
            yield path


def _reported(path: Path) -> Sequence[End]:
    try:
        return read(files.read_plain(path, _LARGEST).splitlines())
    except OSError:
        return ()


@contextlib.contextmanager
def _text(log: Path) -> Iterator[mmap.mmap | bytes]:
    """What the log holds, without reading it."""
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(files.open_plain(log))
            text: mmap.mmap | bytes = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):  # an empty file cannot be mapped
            text = b""
        yield text


def _speaks_of_failures(log: mmap.mmap | bytes) -> bool:
    """Whether the end of it that is read has a word for what failed, as most have not that passed."""
    for place in range(max(0, len(log) - _LARGEST), len(log), _PIECE):
        piece = log[place : place + _PIECE + _LONGEST_WORD]
        if any(word in piece for word in (b"fail", b" error", b"FAIL", b"not ok ", b"Fail")):
            return True
        if isinstance(log, mmap.mmap):
            # Or as much would count for our memory as it has looked at.
            log.madvise(mmap.MADV_DONTNEED)
    return False


def _end_of(log: mmap.mmap | bytes) -> str:
    """The log, or the end of a large one."""
    return log[max(0, len(log) - _LARGEST) :].decode("utf-8", "replace")


def _place(line: int, size: int) -> str:
    return f" (line {line} of the log)" if size <= _LARGEST else ""


def discard(job: Job) -> None:
    """Remove what was written down, once it is in the events of the run."""
    with contextlib.suppress(OSError):
        RunPaths.ends(job.log).unlink()
