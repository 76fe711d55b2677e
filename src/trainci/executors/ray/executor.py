"""Submits jobs over HTTP, and asks for all of them at once what has become of them."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainci.errors import MachineError, UsageError
from trainci.executors.attempt import Attempt
from trainci.executors.base import STOPPED, Job, Wanted
from trainci.executors.engine import LATE_S, EngineExecutor, nodes_pool
from trainci.executors.isolated import isolated_main
from trainci.executors.job_files import directory, entrypoint, output
from trainci.executors.ray import states
from trainci.executors.ray.states import Seen
from trainci.model.device import Pool
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test

_TICK_S = 0.1
_ASK_EVERY_S = 0.5
_DEADLINE_S = 30.0
# How long the cluster may be away before its jobs are given up.
_PATIENCE_S = 60.0
# More wait here: Ray gives up what has waited there for a quarter of an hour (RAY_JOB_START_TIMEOUT_SECONDS).
_MOST_PENDING = 8
# What a lease that is ordered to end may take, in seconds.
_STOP_WAIT_S = 30
# How long several nodes at once, or a cluster that takes no job now, are waited for: as long as Ray waits for one.
_PLACE_S = 900
# In what it says while no node of it is ready, as when it has just begun (seen of Ray 2.60).
_LATER = "try again later"


class RayAway(MachineError):
    """The cluster does not answer. It may soon."""


class RayRefused(MachineError):
    """The cluster answered, and does not take a job; the text is its own."""


class RayExecutor(EngineExecutor):
    """Runs each job as one of Ray's; see ``trainci.executors.ray``."""

    def __init__(self, wanted: Wanted, pool: Pool) -> None:
        super().__init__("ray", wanted, pool)
        self._address = wanted.ray_address
        self._client: Any = None
        self._ask_at = 0.0
        self._answered_at = 0.0

    def open(self) -> None:
        """See Executor.

        :raises UsageError: Ray is not installed here.
        :raises MachineError: no cluster answers.
        """
        self._connect()

    def submission(self, test: Test) -> str:
        """See Executor."""
        return json.dumps(self._specification(self._sample(test), "trainci-TOKEN"), indent=2)

    def _specification(self, job: Job, job_id: str) -> Mapping[str, Any]:
        """The arguments of JobSubmissionClient.submit_job: each word quoted, and no variable of the test's."""
        virtual = self.pool.virtual
        cpus = max(1, job.num_gpus) if virtual else 1
        gpus = 0 if virtual else job.num_gpus
        root, printed = str(self._root), str(output(job))
        words, resources = entrypoint(job), {"entrypoint_num_cpus": cpus, "entrypoint_num_gpus": gpus}
        if job.num_nodes > 1:
            # An entry point has one node: this one asks for the others, and needs next to nothing itself.
            share = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
            wanted = json.dumps({"count": job.num_nodes, "share": share, "wait": _PLACE_S})
            words = [*isolated_main("trainci.executors.ray.nodes"), str(directory(job)), printed, root, wanted]
            resources = {}
        streams = f"exec >>{shlex.quote(printed)} 2>&1; cd -- {shlex.quote(root)} || exit"
        return {
            "submission_id": job_id,
            "entrypoint": f"{streams}; exec {shlex.join(words)}",
            **resources,
            "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S)}},
            "metadata": {"trainci_test": job.test.id},
        }

    def _loops(self) -> Sequence[Callable[[], None]]:
        return (self._follow_all,)

    def _follow_all(self) -> None:
        while not self._closing or self._under_way():
            self._changed.wait(_TICK_S)
            self._changed.clear()
            attempts = self._under_way()
            if not attempts:
                self._answered_at = time.monotonic()
            for attempt in attempts:
                if attempt.job_id:
                    attempt.follow()
            if attempts and time.monotonic() >= self._ask_at:
                self._ask(attempts)
                self._ask_at = time.monotonic() + _ASK_EVERY_S

    def _ask(self, attempts: list[Attempt]) -> None:
        """Ask Ray what has become of them, and submit what may be submitted."""
        self._answered_at = self._answered_at or time.monotonic()
        try:
            listed = self._listed()
            self._answered_at = time.monotonic()
            for attempt in attempts:
                self._judge(attempt, listed.get(_id(attempt)))
            self._submit_some(listed)
        except MachineError as error:
            if time.monotonic() - self._answered_at > _PATIENCE_S:
                self._give_up(f"{error}, for {_PATIENCE_S:g} s")
        except UsageError as error:
            self._give_up(str(error))

    def _judge(self, attempt: Attempt, seen: Seen | None) -> None:
        if seen is None:
            if attempt.job_id:
                self._miss(attempt)
            return
        attempt.missed_since = 0.0
        if not attempt.job_id:
            attempt.was_submitted(seen.job_id)
        if states.is_over(seen):
            # Before it is read: what shows up in between would be read by nobody.
            if seen.status != "STOPPED" and attempt.report_may_come(LATE_S):
                return
            attempt.follow(to_the_end=True)
            ending = states.ending(
                seen,
                attempt.reported,
                attempt.fault,
                stopped=attempt.stopped,
                ordered=attempt.ordered,
                started=attempt.started,
            )
            self._end(attempt, ending)
        elif attempt.stopped:
            self._call("stop_job", seen.job_id)
            if attempt.withdraw():
                self._end(attempt, STOPPED)

    def _submit_some(self, listed: Mapping[str, Seen]) -> None:
        """In the order of the orders."""
        waiting = [attempt for attempt in self._under_way() if not attempt.job_id]
        ours = ((attempt, listed.get(_id(attempt))) for attempt in self._under_way())
        pending = sum(
            states.waits(seen, several=attempt.job.num_nodes > 1, started=attempt.started)
            for attempt, seen in ours
            if seen is not None
        )
        room = _MOST_PENDING - pending
        for attempt in waiting:
            if attempt.stopped:
                self._end(attempt, STOPPED)
            elif room > 0:
                room -= 1
                self._submit(attempt)

    def _submit(self, attempt: Attempt) -> None:
        try:
            self._call("submit_job", **self._specification(attempt.job, _id(attempt)))
        except RayRefused as error:
            # It refuses what it has, too.
            if _id(attempt) not in self._listed():
                self._was_refused(attempt, str(error).splitlines()[-1])
            return
        attempt.was_submitted(_id(attempt))

    def _was_refused(self, attempt: Attempt, why: str) -> None:
        now = time.monotonic()
        attempt.refused_since = attempt.refused_since or now
        if _LATER in why and now - attempt.refused_since < _PLACE_S:
            attempt.waits("later", "", f"Ray takes no job for now: {why}")
        else:
            self._end(attempt, Ending(Cause.NEVER_STARTED, detail=f"Ray does not take its job: {why}"))

    def _give_up(self, why: str) -> None:
        for attempt in self._under_way():
            begun = not attempt.withdraw()
            attempt.follow(to_the_end=True)
            gone = Ending(Cause.LOST if begun else Cause.NEVER_STARTED, detail=why)
            self._end(attempt, attempt.reported or gone)

    def _listed(self) -> dict[str, Seen]:
        try:
            jobs = self._call("list_jobs")
        except RayRefused as error:
            raise RayAway(str(error)) from None
        return {job.submission_id: Seen(job.submission_id, job.status.value, job.message or "") for job in jobs}

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client's.

        :raises RayAway: the cluster does not answer.
        :raises RayRefused: it answers that it does not.
        """
        client = self._connect()
        try:
            return getattr(client, name)(*arguments, **options)
        except OSError as error:
            raise RayAway(f"Ray does not answer at {self._address} ({type(error).__name__})") from None
        except RuntimeError as error:
            raise RayRefused(str(error)) from None

    def _connect(self) -> Any:
        if self._client is None:
            self._client = _client(self._address)
        return self._client


def _client(address: str) -> Any:
    try:
        from ray.exceptions import RayError
        from ray.job_submission import JobSubmissionClient
    except ImportError:
        raise UsageError("--executor ray: Ray is not installed here. pip install 'trainci[ray]'.") from None

    class Client(JobSubmissionClient):  # type: ignore[misc, unused-ignore]
        """With a deadline for each request, which has none by itself."""

        def _do_request(self, *arguments: Any, **options: Any) -> Any:
            try:
                return super()._do_request(*arguments, **{"timeout": _DEADLINE_S, **options})
            except RayError as error:  # it wants a token, or another one
                raise RuntimeError(str(error)) from None

    try:
        return Client(address)
    except (OSError, RuntimeError, ValueError) as error:
        raise RayAway(f"no Ray answers at {address} ([executors.ray] of trainci.toml): {error}") from None


def _id(attempt: Attempt) -> str:
    return attempt.token.replace(":", "-")


def ray_executor(wanted: Wanted) -> RayExecutor:
    """The executor of a Ray cluster, whose nodes have ``wanted.max_gpus`` GPUs or so many virtual devices.

    :raises UsageError: ``wanted.devices`` names devices, which are Ray's to choose, or a suite has ``pack``.
    """
    if packs := sorted({test.pack for test in wanted.tests if test.pack}):
        raise UsageError(
            f"suite {packs[0]}: pack = true, and Ray has no allocation that its tests could share: each is a job "
            "of its own there. Leave it out (jobs = 1: one job at GitHub), or choose --executor slurm."
        )
    if wanted.nodes > 1:
        raise UsageError(f"--nodes {wanted.nodes}: Ray has nodes of its own; NUM_NODES of a test says how many.")
    return RayExecutor(wanted, nodes_pool(wanted, "Ray"))
