"""Submits the jobs of a run to Slurm, each once, whatever becomes of Slurm meanwhile."""

from __future__ import annotations

import time

from trainci.executors import words
from trainci.executors.attempt import Attempt
from trainci.executors.base import STOPPED, Job, Wanted
from trainci.executors.job_files import begun, entrypoint, output
from trainci.executors.slurm import commands, states
from trainci.executors.slurm.commands import SlurmAway, SlurmFull, SlurmRefused
from trainci.executors.slurm.script import Asked, batch_script
from trainci.executors.slurm.sharing import SharingExecutor
from trainci.host.clock import steady_time
from trainci.model.device import Pool
from trainci.model.run import Cause, Ending

_TICK_S = 0.1
# How long until a Slurm that is away, or one that takes no more jobs, is tried again.
_AWAY_S = 0.5
_FULL_S = 5.0


class SubmittingExecutor(SharingExecutor):
    """See SharingExecutor. What has been submitted, somebody else follows."""

    def __init__(self, wanted: Wanted, pool: Pool) -> None:
        super().__init__("slurm", wanted, pool, wanted.slurm.container)
        self._settings = wanted.slurm
        # With so many jobs submitted Slurm took no more, and until then it is not asked again.
        self._full_with = 0
        self._full_until = 0.0
        # What Slurm had as this client began: of an earlier one, whose files may be gone.
        self._of_earlier: frozenset[str] = frozenset()

    def _script(self, job: Job, token: str) -> bytes:
        virtual = self.pool.virtual
        asked = Asked(
            name=job.test.id,
            token=token,
            nodes=job.num_nodes,
            gpus=0 if virtual else job.num_gpus,
            cpus=job.num_gpus,
            time_limit=job.time_limit + words.GRACE_SECONDS,
        )
        files = (str(output(job)), str(begun(job)))
        return batch_script(asked, self._settings, str(self._root), *files, entrypoint(job))

    def _submit_all(self) -> None:
        """One after another, in the order of the orders."""
        while not self._closing or self._under_way():
            self._share()
            attempts = self._under_way()
            waiting = [one for one in attempts if not one.job_id and self._has_own_job(one)]
            submitted = sum(bool(one.job_id) for one in attempts)
            if waiting and (waiting[0].stopped or self._may_take_more(submitted)):
                self._submit(waiting[0], submitted)
            else:
                time.sleep(_TICK_S)

    def _may_take_more(self, submitted: int) -> bool:
        full = submitted >= self._full_with and time.monotonic() < self._full_until
        return submitted < self._settings.in_flight and not full

    def _submit(self, attempt: Attempt, submitted: int) -> None:
        """Submit it once, however often that is tried: what became of a try that was cut off is looked up."""
        known = attempt.recalled or attempt.token in self._of_earlier
        if known and self._was_submitted(attempt):
            return
        script = self._script(attempt.job, attempt.token)
        attempt.asked_at = attempt.asked_at or steady_time()
        while not attempt.stopped:
            try:
                job_id = commands.submit(script)
            except SlurmFull as error:
                self._wait_for_room(attempt, submitted, error)
                return
            except SlurmRefused as error:
                self._end(attempt, Ending(Cause.NEVER_STARTED, detail=f"Slurm does not take its job: {error}"))
                return
            except SlurmAway as error:
                tell_away(attempt, error)
                if self._was_submitted(attempt):
                    return
                self._changed.wait(_AWAY_S)
                continue
            attempt.was_submitted(job_id)
            self._ask_soon()
            return
        self._end(attempt, STOPPED)

    def _wait_for_room(self, attempt: Attempt, submitted: int, error: SlurmFull) -> None:
        """It is submitted once another job is over, or later; as long as one that is submitted may wait."""
        now = time.monotonic()
        attempt.refused_since = attempt.refused_since or now
        if now - attempt.refused_since > self._settings.queue:
            self._end(attempt, Ending(Cause.NEVER_STARTED, detail=f"Slurm does not take its job: {error}"))
            return
        self._full_with, self._full_until = submitted, now + _FULL_S
        attempt.waits("full", "", f"Slurm takes no more jobs for now: {error}")

    def _was_submitted(self, attempt: Attempt) -> bool:
        """Wait for Slurm to answer; whether it has the job."""
        while not self._closing:
            try:
                found = [seen for seen in commands.listed() if seen.comment == attempt.token]
            except SlurmAway as error:
                tell_away(attempt, error)
                self._changed.wait(_AWAY_S)
                continue
            if found:
                attempt.was_submitted(states.latest(found).job_id)
            return bool(found)
        return False


def tell_away(attempt: Attempt, error: SlurmAway) -> None:
    """Have the run hear that Slurm does not answer, for which its job waits."""
    attempt.waits("away", "", f"Slurm does not answer: {error}")
