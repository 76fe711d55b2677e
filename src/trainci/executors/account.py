"""What becomes known of one job: its output goes into the log and to who shows it, its reports become events."""

from __future__ import annotations

import io
import os
import signal
import stat
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trainci.executors import ends, rank_logs, results
from trainci.executors.base import Emit, Job, Show
from trainci.executors.onlooker import Onlooker
from trainci.lease import protocol
from trainci.model import events
from trainci.model.run import Cause, Ending, Results
from trainci.model.seen import OF_SECCOMP
from trainci.output.redaction import Redactor

_LAST_WORDS = 4096


def open_log(path: Path) -> io.FileIO:
    """The log of an attempt, to append to. A test could have put something else in its place.

    :raises OSError: there is something else, or it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, f"{path.name} is no plain file")
    # Without a buffer, which would hold on to what a full disk refused.
    return io.FileIO(descriptor, "a")


class Account:
    """One job's; ``lose`` is called when it cannot be kept, which is the job's end.

    ``onlooker`` sees whether it hangs, where somebody can.

    The log has every byte first, up to where it cannot be written: the job goes on then. ``started``: its lease
    said so. ``ending`` is what that reported, None before, and ``ordered`` whether it was to end before it did;
    ``fault`` a sentence, once it was lost.
    """

    def __init__(
        self,
        job: Job,
        log: io.FileIO,
        secrets: Sequence[str],
        emit: Emit,
        show: Show,
        clock: Callable[[], float],
        lose: Callable[[], object],
        onlooker: Onlooker | None = None,
        root: Path = Path(),
    ) -> None:
        self._job = job
        self._root = root
        self._begun = clock()
        self._of_job = (job.test.id, job.attempt, job.phase)
        self._log = log
        self._secrets = secrets
        self._redactor = Redactor(secrets)
        self._emit = emit
        self._show = show
        self._clock = clock
        self._end_job = lose
        self._onlooker = onlooker
        self._written_down = False
        self._pending = b""
        self._last_words = b""
        self._cut = ""
        self.started = False
        self.ending: Ending | None = None
        self.ordered = False
        self.fault = ""

    @property
    def time_limit(self) -> float:
        """How many seconds it may take, once it has started."""
        return self._job.time_limit

    @property
    def last_line(self) -> str:
        """The last that it printed, to be added to a sentence; empty if it printed nothing."""
        last = self._last_words.decode("utf-8", "replace").strip().splitlines()
        return f": {last[-1]}" if last else ""

    def output(self, data: bytes) -> None:
        """It printed ``data``."""
        if self._onlooker is not None:
            self._onlooker.printed(data)
            if self._onlooker.hung:
                self._write_down(Cause.HUNG)
        self._pass_on(self._redactor.feed(data))

    def held_back(self) -> None:
        """What it prints is not wanted yet."""
        if self._onlooker is not None:
            self._onlooker.held_back()

    def status(self, data: bytes) -> None:
        """Its lease reported ``data``: lines, of which the last may be cut off."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            try:
                self._on_report(protocol.load(line))
            except ValueError:
                self._lose(f"its lease said what is no report: {line!r}")

    def waits(self, why: str) -> None:
        """Its engine says what it waits for."""
        self._emit(events.Waiting(self._clock(), *self._of_job, None, why))

    def flush(self) -> None:
        """It prints no more."""
        self._pass_on(self._redactor.flush())

    def close(self, ending: Ending) -> None:
        """It has ended, and left what it leaves. That is told whatever comes of it: else its run waits for ever."""
        ending = self._with_what_was_seen(ending)
        try:
            ended = self._with_what_it_left(ending)
        except Exception as error:  # what its own code wrote may be anything
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            detail = f"a bug of trainci, met in what the test left behind: {type(error).__name__} at {where}"
            lost = Ending(Cause.LOST, detail=detail) if ending.passed else ending
            ended = events.Ended(self._clock(), *self._of_job, lost)
        self._emit(ended)

    def _with_what_it_left(self, ending: Ending) -> events.Ended:
        if not ending.passed:
            self._add(rank_logs.tracebacks(self._job))
        self._log.close()
        left = self._masked(results.collect(self._job))
        failures = tuple(
            replace(failure, sentence=self._redactor.mask(failure.sentence))
            for failure in ends.collect(self._job, ending, self._root, self._begun)
        )
        results.mask_metrics(self._job, self._redactor.mask)
        rank_logs.keep(self._job, self._secrets)
        # Its exit code may be no more than what pytest says of the same full disk.
        if self._cut and ending.cause is Cause.EXITED and left is not None and left.fault:
            ending = Ending(Cause.LOST, detail=f"neither its log nor its results could be written: {self._cut}")
        return events.Ended(self._clock(), *self._of_job, ending, left, failures=failures)

    def _pass_on(self, data: bytes) -> None:
        if not data:
            return
        was_cut = bool(self._cut)
        if not was_cut:
            self._write_log(data)
        self._last_words = (self._last_words + data[-_LAST_WORDS:])[-_LAST_WORDS:]
        self._show(events.Output(self._clock(), *self._of_job, data, logged=not self._cut))
        if self._cut and not was_cut:
            told = f"\ntrainci: the log ends here ({self._cut}); the test goes on\n"
            self._show(events.Output(self._clock(), *self._of_job, told.encode(), logged=False))

    def _write_log(self, data: bytes) -> None:
        """What a test printed last is no reason to end it: its exit code stands, whatever the disk has room for."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._log.write(rest) :]
        except OSError as error:
            self._cut = error.strerror or str(error)

    def _on_report(self, report: protocol.Report) -> None:
        now = self._clock()
        match report:
            case protocol.Waiting():
                self._emit(events.Waiting(now, *self._of_job, report.ahead, report.why))
            case protocol.Granted():
                if self._onlooker is not None:
                    self._onlooker.granted(report.devices)
                self._emit(events.Granted(now, *self._of_job, report.devices))
            case protocol.Started():
                self.started = True
                if self._onlooker is not None:
                    self._onlooker.begin(report.pid)
                self._emit(events.Started(now, *self._of_job, report.pid))
            case protocol.Ended():
                self.ending = ending_of(report)
                self.ordered = report.ordered

    def _with_what_was_seen(self, ending: Ending) -> Ending:
        """``ending`` with who hung, or where the job was when its time limit ended it; all of it is in the log."""
        if self._onlooker is None:
            return ending
        self._onlooker.close()
        if self._onlooker.hung and ending.cause is not Cause.LOST:
            ending = replace(ending, cause=Cause.HUNG)
        if ending.cause not in (Cause.HUNG, Cause.TIMED_OUT) or not self._onlooker.sentence:
            return ending
        self._write_down(ending.cause)
        return replace(ending, detail=self._redactor.mask(self._onlooker.sentence))

    def _write_down(self, cause: Cause) -> None:
        """What was seen of it into the log, once: before what it prints while it is ended."""
        if self._onlooker is None or self._written_down:
            return
        self._written_down = True
        text = "".join(
            f"trainci: {line}\n" for line in (*self._onlooker.written, f"{cause.value}: {self._onlooker.sentence}")
        )
        self._add(text)

    def _add(self, text: str) -> None:
        """Lines that are not what it printed to us."""
        if text:
            self.flush()
            begin = "\n" if self._last_words[-1:] not in (b"", b"\n") else ""
            self._pass_on((begin + self._redactor.mask(text)).encode("utf-8", "replace"))

    def _masked(self, left: Results | None) -> Results | None:
        """What the test wrote itself, and not through us."""
        if left is None:
            return None
        mask = self._redactor.mask
        items = (replace(item, name=mask(item.name), message=mask(item.message)) for item in left.items)
        return Results(tuple(items), mask(left.fault))

    def _lose(self, fault: str) -> None:
        self.fault = fault
        self._end_job()


def ending_of(report: protocol.Ended) -> Ending:
    """What a lease's report means to a run."""
    if report.time_limit:
        cause = Cause.TIMED_OUT
    elif report.lost:
        cause = Cause.LOST
    else:
        cause = Cause.SIGNALLED if report.signal else Cause.EXITED
    return Ending(cause, report.code, report.signal, report.lost or _word_of_the_kernel(report), report.seen)


def _word_of_the_kernel(report: protocol.Ended) -> str:
    """What the kernel says of a SIGKILL, which a shell tells as 137."""
    if report.seen.seccomp:
        return OF_SECCOMP
    if not report.seen.kernel_oom or (report.signal, report.code) not in ((signal.SIGKILL, None), (None, 137)):
        return ""
    return "the kernel ended it for want of memory (oom_kill of its cgroup)"
