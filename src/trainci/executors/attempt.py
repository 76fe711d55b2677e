"""One job of an engine's: the files that it and we know each other by, and what has become known of it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trainci.executors import ends, job_files, words
from trainci.executors.account import Account
from trainci.executors.base import Job, Show
from trainci.executors.inherited import inherited
from trainci.executors.node import FAULT, STATUS, TOLD
from trainci.host.clock import steady_time
from trainci.host.files import open_plain
from trainci.model.run import Cause, Ending

_SUBMISSION = "submission.json"
_CHUNK = 1 << 20
# A job's environment begins as its node makes it, whatever this host is a part of.
_OF_THIS_HOST = ("SLURM_", "SBATCH_", "CUDA_VISIBLE", "HIP_VISIBLE", "ROCR_VISIBLE")


class Attempt:
    """A job, from the order to submit it to its end.

    ``token`` is what the engine keeps of ours: by it a job is found whose id never reached us. ``job_id`` and
    ``submitted`` are empty before the engine has said them, as ``begun`` is, when it says that it began the job.
    ``forgotten``: the engine does not know any more that it did. ``suspended``: it has held it still.
    ``amid_prolog``: it was ended while its node prepared it. ``within``
    names the folder of the job whose allocation it shares, which has these in its place. ``started_by`` is when a
    node had begun it at the latest, ``ended_by`` when its command had ended, ``ended_from_outside`` when the engine
    did that to its job, ``asked_at`` when it was first asked to take it: Unix times of this host's clock, 0 if it
    has not. The engine's own clock is ``clock_ahead`` seconds ahead of that.
    """

    def __init__(self, job: Job, show: Show) -> None:
        self.job = job
        self.show = show
        self.token = job_files.token(job)
        self.job_id = ""
        self.submitted = ""
        self.within = ""
        self.begun = ""
        self.forgotten = False
        self.stopped = False
        self.told_to_end = False
        self.started_by = 0.0
        self.ended_by = 0.0
        self.ended_from_outside = 0.0
        self.reported_at = 0.0
        self.asked_at = 0.0
        self.clock_ahead = 0.0
        self.submitted_at = 0.0
        self.refused_since = 0.0
        self.missed_since = 0.0
        self.over_since = 0.0
        self.suspended = False
        self.amid_prolog = False
        self.hopeless_since = 0.0
        self._waits_for = ("", False)
        self.recalled = False
        self.over: Ending | None = None
        self.directory = job_files.directory(job)
        self.output = job_files.output(job)
        self._status = self.directory / STATUS
        self._log_size = 0
        self._read = dict.fromkeys((self.output, self._status), 0)
        self.account: Account | None = None

    def recall(self, log: io.FileIO) -> bool:
        """Whether an earlier runner has begun it: then go on with that; its log is written again from the output.

        :raises OSError: the log cannot be written.
        """
        try:
            known = json.loads((self.directory / _SUBMISSION).read_text())
            self.token, self.job_id, self.submitted = (
                str(known[name]) for name in ("token", "job_id", "submitted")
            )
            # An older trainci did not write these.
            self.begun, self.within = (str(known.get(name, "")) for name in ("begun", "within"))
            self.clock_ahead = float(known.get("clock_ahead", 0.0))
            self._log_size = int(known["log_size"])
        except (OSError, ValueError, KeyError, TypeError):
            if self.withdraw() or not self.has_begun:
                shutil.rmtree(self.directory, ignore_errors=True)
                return False
            # It runs, and is found by its token: what it printed follows what the log has of it.
            self._log_size = os.fstat(log.fileno()).st_size
        log.truncate(self._log_size)
        self.submitted_at = time.monotonic()
        self.recalled = True
        return True

    def was_submitted(self, job_id: str) -> None:
        """The engine has it, under this id: another one, where a try that seemed lost was none."""
        self.submitted_at = time.monotonic()
        self.job_id, self.submitted, self.begun = job_id, "", ""
        self._remember()

    def join(self, within: str) -> None:
        """It is to run in the allocation of the job with this folder; in none yet, if that is empty."""
        self.within = within
        self._remember()

    def was_seen(self, submitted: str, clock_ahead: float) -> None:
        """The engine says when it was submitted, in its own writing, by which its clock is this much ahead."""
        if not self.submitted:
            self.submitted, self.clock_ahead = submitted, clock_ahead
            self._remember()

    def was_begun(self, begun: str) -> None:
        """The engine says when it began it (empty: it says that it has not)."""
        self.forgotten = self.forgotten or (self.started if not begun else self.begun not in ("", begun))
        if begun and not self.begun:
            self.begun = begun
            self._remember()

    def waits(self, reason: str, start: str, why: str) -> None:
        """The engine says for what it waits; told again for another ``reason``, or once it knows of a ``start``.

        A start that is only put off is told no more: it is a guess, and another one each time.
        """
        now = (reason, bool(start))
        if why and now != self._waits_for and self.account is not None:
            self._waits_for = now
            self.account.waits(why)

    def _remember(self) -> None:
        known = {
            "token": self.token,
            "job_id": self.job_id,
            "submitted": self.submitted,
            "begun": self.begun,
            "clock_ahead": self.clock_ahead,
            "within": self.within,
            "log_size": self._log_size,
        }
        temporary = self.directory / f"{_SUBMISSION}.new"
        # What is not remembered is found again by its token.
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(known))
            temporary.replace(self.directory / _SUBMISSION)

    def prepare(self, arguments: list[str], root: Path, log: io.FileIO, *, probed: bool) -> None:
        """Write what the node is to read: ``arguments`` are those of the lease.

        ``probed``: the job's processes see this host's files, and are to write down how they end.

        :raises OSError: it cannot be written.
        """
        self.directory.mkdir(mode=0o700, parents=True)
        ours = inherited(os.environ)
        variables = words.variables(self.job, root)
        if probed:
            variables |= ends.variables(self.job, variables.get("PYTHONPATH", ours.get("PYTHONPATH", "")))
        told = {
            "arguments": arguments,
            "inherited": {name: ours[name] for name in ours if not name.startswith(_OF_THIS_HOST)},
            "variables": variables,
            "nodes": self.job.num_nodes,
        }
        # Or a network's file system may not show it for a while, as it was looked for before it was there.
        os.close(os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        file = os.open(self.directory / TOLD, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as stream:
            json.dump(told, stream)
        self._log_size = os.fstat(log.fileno()).st_size
        self._remember()

    def withdraw(self) -> bool:
        """See to it that it never begins; False if it has."""
        try:
            os.close(os.open(self._status, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError:
            return False
        return True

    def follow(self, *, to_the_end: bool = False) -> bool:
        """Take in what it has printed and reported since; what is not wanted now is left where it is.

        True: its lease has told by now that its command runs, or how that ended, and had not before.
        """
        assert self.account is not None
        known = (self.started, self.reported)
        self._look_anew()
        for path, take in ((self.output, self.account.output), (self._status, self.account.status)):
            while to_the_end or path == self._status or self.show.has_room():
                if not self._take(path, take):
                    break
        if not self.started_by:
            self.started_by = _changed_at(job_files.begun(self.job)) or (self._told_by() if self.started else 0.0)
        if self.reported is not None and not self.reported_at:
            self.reported_at = time.monotonic()
            self.ended_by = self._told_by()
        return (self.started, self.reported) != known

    def _look_anew(self) -> None:
        """A network's file system keeps for a while that a file is not there, but not once its folder is opened."""
        if not self._read[self._status]:
            with contextlib.suppress(OSError):
                os.close(os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def _told_by(self) -> float:
        """When its lease told the last of what was read: we may hear of it late, as after a client was killed."""
        return _changed_at(self._status) or steady_time()

    def _take(self, path: Path, take: Callable[[bytes], None]) -> bool:
        """Take in the next piece of a file, opened again: so a network's file system shows what is new in it."""
        try:
            with open_plain(path) as file:
                file.seek(self._read[path])
                data = file.read(_CHUNK)
        except OSError:
            return False
        self._read[path] += len(data)
        if data:
            take(data)
        return bool(data)

    @property
    def reported(self) -> Ending | None:
        """What its lease said of its end."""
        return self.account.ending if self.account else None

    @property
    def fault(self) -> Ending | None:
        """What the engine's program beside the job says went wrong with its nodes."""
        try:
            cause, sentence = json.loads((self.directory / FAULT).read_text())
            return Ending(Cause(cause), detail=str(sentence))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def started(self) -> bool:
        """Whether its lease has said that its command runs."""
        return self.account is not None and self.account.started

    @property
    def started_there(self) -> float:
        """``started_by`` by the engine's clock."""
        return self.started_by and self.started_by + self.clock_ahead

    @property
    def has_begun(self) -> bool:
        """Whether a node has it."""
        self._look_anew()
        return self._status.exists()

    def report_may_come(self, patience: float) -> bool:
        """Whether a node has taken what it was to read, and nothing of its report is seen here.

        A network's file system may show a new file late, where it was looked for before: ``patience`` seconds from
        the first time that this is asked.
        """
        if self.has_begun or self.forgotten or self.stopped or self._is_untaken():
            return False
        self.over_since = self.over_since or time.monotonic()
        return time.monotonic() - self.over_since < patience

    def _is_untaken(self) -> bool:
        # Opened: so such a file system asks whether it is still there.
        try:
            open_plain(self.directory / TOLD).close()
        except OSError:
            return False
        return True

    @property
    def ordered(self) -> bool:
        """Whether somebody ordered its end before it ended.

        What ends a job signals its processes one after another: what one makes of that may end the command before
        its lease hears of it.
        """
        heard = self.account is not None and self.account.ordered
        return heard or 0 < self.ended_from_outside <= self.ended_by

    def finish(self) -> None:
        """Tell that it has ended, with all that it printed."""
        assert self.account is not None and self.over is not None
        self.follow(to_the_end=True)
        self.account.flush()
        fault = self.account.fault
        ending = Ending(Cause.LOST, detail=fault) if fault else self.over
        if ending.cause in (Cause.TIMED_OUT, Cause.OUT_OF_TIME) and self.suspended:
            ending = replace(ending, cause=Cause.PREEMPTED, detail="it was suspended, and its time limit passed")
        if ending.cause is Cause.LOST and not fault:
            ending = Ending(Cause.LOST, detail=f"{ending.detail}{self.account.last_line}")
        self.account.close(ending)


def _changed_at(file: Path) -> float:
    """When that was, a Unix time of this host's clock at most; 0 where it is not there."""
    try:
        return min(steady_time(), file.stat().st_mtime)
    except OSError:
        return 0.0
