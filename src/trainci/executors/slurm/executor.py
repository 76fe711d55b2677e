"""Follows the jobs of a run, all in one thread, so that a thousand of them cost no more than one."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence

from trainci.errors import UsageError
from trainci.executors.attempt import Attempt
from trainci.executors.base import Wanted
from trainci.executors.engine import GONE_S, LATE_S, nodes_pool
from trainci.executors.job_files import is_token, token_of_run
from trainci.executors.slurm import commands, states
from trainci.executors.slurm.commands import Seen, SlurmAway
from trainci.executors.slurm.submitting import SubmittingExecutor, tell_away
from trainci.host.clock import steady_time
from trainci.model.device import Pool
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test

_TICK_S = 0.1
# How often Slurm is asked: while something is about to change, and else.
_SOON_S = 0.5
_LATER_S = 5.0
# How long Slurm, or its database, may be away: before a run, and before what only the latter knows is given up.
_PATIENCE_S = 60.0
# How long a Slurm that is away is waited for at the end of a run, in which nothing more is to be known.
_LEAVING_S = 20.0
# How long a job waits for what never comes: settings are read again, and nodes come back.
_HOPELESS_S = 60.0


class SlurmExecutor(SubmittingExecutor):
    """Runs each job as one of Slurm's; see ``trainci.executors.slurm``."""

    def __init__(self, wanted: Wanted, pool: Pool) -> None:
        super().__init__(wanted, pool)
        self._ask_at = 0.0
        self._database_away_since = 0.0

    def open(self) -> None:
        """See Executor.

        :raises UsageError: Slurm's commands are not here.
        :raises MachineError: Slurm does not answer.
        """
        for command in ("sbatch", "squeue", "scancel"):
            if shutil.which(command) is None:
                raise UsageError(
                    f"--executor slurm: {command} is not on PATH. Run on a host that has the commands of Slurm."
                )
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._of_earlier = frozenset(seen.comment for seen in commands.listed())
                return
            except SlurmAway as error:
                if time.monotonic() > until:
                    raise SlurmAway(f"Slurm does not answer: {error}") from None
                time.sleep(_SOON_S)

    def close(self) -> None:
        """See Executor."""
        self._give_back()
        super().close()
        until = time.monotonic() + _LEAVING_S
        while self._ended and not self._leaves_nothing() and time.monotonic() < until:
            time.sleep(_SOON_S)

    def _leaves_nothing(self) -> bool:
        """Cancel what is left of its runs; False while Slurm is away.

        A controller that was killed may take for running what it has seen end, also under an earlier client.
        """
        runs = tuple({token_of_run(attempt.job) for attempt in self._ended})
        try:
            left = [seen for seen in commands.listed() if seen.comment.startswith(runs)]
            self._cancel([seen for seen in left if not states.is_over(seen)])
        except SlurmAway:
            return False
        return True

    def submission(self, test: Test) -> str:
        """See Executor."""
        job = self._sample(test)
        if test.pack:
            job = self._shared(test, job.log.parent, 1)
        return self._script(job, "trainci:TOKEN").decode("utf-8", "replace")

    def _loops(self) -> Sequence[Callable[[], None]]:
        return (self._submit_all, self._follow_all)

    # Following.

    def _follow_all(self) -> None:
        while not self._closing or self._under_way():
            self._changed.wait(_TICK_S)
            self._changed.clear()
            under_way = self._under_way()
            self._follow_within([attempt for attempt in under_way if attempt.within])
            attempts = [attempt for attempt in under_way if attempt.job_id]
            for attempt in attempts:
                if attempt.follow() or attempt.stopped:
                    self._ask_soon()
            if attempts and time.monotonic() >= self._ask_at:
                self._ask_at = time.monotonic() + _LATER_S
                self._ask(attempts)

    def _ask_soon(self) -> None:
        self._ask_at = min(self._ask_at, time.monotonic() + _SOON_S)

    def _ask(self, attempts: list[Attempt]) -> None:
        """Ask Slurm what has become of them, and order the end of those that are to end."""
        asked_at = time.monotonic()
        try:
            self._cancel([attempt for attempt in attempts if attempt.stopped])
            listed = commands.listed()
            self._cancel(self._left(listed))
        except SlurmAway as error:
            for attempt in attempts:
                self._take_its_word(attempt)
                if not attempt.started:
                    tell_away(attempt, error)
            self._ask_soon()
            return
        unclear = [attempt for attempt in attempts if self._is_unclear(attempt, listed)]
        known = self._accounted(unclear)
        for attempt in attempts:
            if attempt in unclear and known is None:
                if not any(_is_listed_as(seen, attempt) for seen in listed):
                    self._take_its_word(attempt)
                self._ask_soon()
                continue
            of_database = [seen for seen in known or () if _is_its(seen, attempt)]
            its = states.together([seen for seen in listed if _is_listed_as(seen, attempt)], of_database)
            self._judge(attempt, self._of_one_job(attempt, its), asked_at)
            if attempt.reported or attempt.stopped or attempt.missed_since or not attempt.submitted:
                self._ask_soon()

    def _accounted(self, unclear: Sequence[Attempt]) -> list[Seen] | None:
        """What the database says of them; None while it is away, which holds up nobody else for long."""
        try:
            found = commands.accounted([attempt.job_id for attempt in unclear]) if unclear else []
        except SlurmAway:
            now = time.monotonic()
            self._database_away_since = self._database_away_since or now
            return None if now - self._database_away_since < _PATIENCE_S else []
        self._database_away_since = 0.0
        return found

    def _is_unclear(self, attempt: Attempt, listed: list[Seen]) -> bool:
        """Whether only the database can tell: of a job that is gone, and by whom one was cancelled."""
        found = [seen for seen in listed if _is_listed_as(seen, attempt)]
        return not found or (states.latest(found).state == "CANCELLED" and not attempt.stopped)

    def _left(self, listed: list[Seen]) -> list[Seen]:
        """Jobs of attempts that have ended, which were taken for gone."""
        ended = {attempt.token for attempt in self._ended}
        return [seen for seen in listed if seen.comment in ended and not states.is_over(seen)]

    def _of_one_job(self, attempt: Attempt, its: Sequence[Seen]) -> Sequence[Seen]:
        """What is said of its job, where a try to submit it that seemed lost was none: the others end."""
        if len({seen.job_id for seen in its}) < 2:
            return its
        kept = states.that_runs(its, attempt.job_id)
        if kept != attempt.job_id:
            attempt.was_submitted(kept)
        with contextlib.suppress(SlurmAway):
            self._cancel([seen for seen in its if seen.job_id != kept and not states.is_over(seen)])
        return [seen for seen in its if seen.job_id == kept]

    def _judge(self, attempt: Attempt, found: Sequence[Seen], asked_at: float) -> None:
        if not found:
            self._miss(attempt, GONE_S if attempt.submitted else LATE_S)
            return
        attempt.missed_since = 0.0
        seen = states.latest(found)
        if states.is_elsewhere(seen):
            self._await_other_cluster(attempt)
            return
        if states.was_queued_again(seen, attempt.submitted):
            # The node does not begin it again; the rest is to be seen to.
            with contextlib.suppress(SlurmAway):
                commands.cancel([attempt.job_id])
            detail = f"job {attempt.job_id} of Slurm was queued again"
            self._end(attempt, Ending(Cause.REQUEUED, detail=detail))
            return
        attempt.was_seen(seen.submitted, states.clock_ahead(seen, attempt.asked_at, steady_time()))
        attempt.was_begun("" if states.waits(seen) else seen.begun)
        attempt.amid_prolog |= states.ends_amid_prolog(seen)
        attempt.forgotten |= seen.forgotten or states.began_after(seen, attempt.started_there)
        if states.waits(seen) and (given_up := self._given_up(attempt, seen)):
            with contextlib.suppress(SlurmAway):
                commands.cancel([attempt.job_id])
            self._end(attempt, Ending(Cause.NEVER_STARTED, detail=given_up))
            return
        for one in self._members(attempt) or [attempt]:
            if states.waits(seen):
                one.waits(seen.reason, states.expected_start(seen), states.waits_for(seen))
            one.suspended = one.suspended or states.is_suspended(seen)
        if states.is_over(seen):
            # Before it is read: what shows up in between would be read by nobody.
            if states.ended_by_itself(seen) and self._is_late([*self._members(attempt), attempt]):
                self._ask_soon()
                return
            attempt.follow(to_the_end=True)
            for one in (*self._members(attempt), attempt):
                one.ended_from_outside = states.ended_from_outside(seen, attempt.clock_ahead)
            ending = states.ending(
                seen,
                attempt.reported,
                stopped=attempt.stopped,
                ordered=attempt.ordered,
                started_by=attempt.started_there,
                forgotten=attempt.forgotten,
                amid_prolog=attempt.amid_prolog,
            )
            self._end(attempt, ending)
        elif seen.state == "RUNNING":
            self._confirm(attempt, asked_at)
            self._take_its_word(attempt)
        else:
            self._take_its_word(attempt)

    def _await_other_cluster(self, attempt: Attempt) -> None:
        """Another cluster of the federation has it, and does not answer."""
        now = time.monotonic()
        attempt.hopeless_since = attempt.hopeless_since or now
        self._take_its_word(attempt)
        if now - attempt.hopeless_since > _HOPELESS_S:
            with contextlib.suppress(SlurmAway):
                commands.cancel([attempt.job_id])
            detail = f"no cluster of the federation says that it has job {attempt.job_id} of Slurm"
            self._end(attempt, attempt.reported or Ending(Cause.LOST, detail=detail))

    def _given_up(self, attempt: Attempt, seen: Seen) -> str:
        """Why it waits no longer; empty while it does."""
        now = time.monotonic()
        if now - attempt.submitted_at > self._settings.queue:
            return states.waited(seen, self._settings.queue)
        attempt.hopeless_since = (attempt.hopeless_since or now) if states.is_hopeless(seen) else 0.0
        return (
            states.waits_for(seen) if attempt.hopeless_since and now - attempt.hopeless_since > _HOPELESS_S else ""
        )

    def _is_late(self, attempts: Sequence[Attempt]) -> bool:
        return any(one.report_may_come(LATE_S) for one in attempts)

    def _cancel(self, attempts: Sequence[Attempt | Seen]) -> None:
        if attempts:
            commands.cancel([attempt.job_id for attempt in attempts])


def _is_its(seen: Seen, attempt: Attempt) -> bool:
    """Whether Slurm speaks of this job, and not of another that got the same number."""
    if seen.comment == attempt.token:
        return True
    # The clusters of a federation each have a time of their own, and numbers that no other has.
    same = seen.submitted == attempt.submitted or states.is_of_federation(seen.job_id)
    return seen.job_id == attempt.job_id and same


def _is_listed_as(seen: Seen, attempt: Attempt) -> bool:
    """The same of what the controller lists, which is of late: a site may write another comment there."""
    new = not attempt.submitted and not is_token(seen.comment)
    return _is_its(seen, attempt) or (seen.job_id == attempt.job_id and new)


def slurm_executor(wanted: Wanted) -> SlurmExecutor:
    """The executor of a cluster under Slurm, whose nodes have ``wanted.max_gpus`` GPUs or so many virtual devices.

    :raises UsageError: ``wanted.devices`` names devices, which are Slurm's to choose.
    """
    if wanted.nodes > 1:
        raise UsageError(f"--nodes {wanted.nodes}: Slurm has nodes of its own; NUM_NODES of a test says how many.")
    return SlurmExecutor(wanted, nodes_pool(wanted, "Slurm"))
