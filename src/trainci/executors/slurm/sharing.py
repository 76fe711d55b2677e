"""Executors whose tests may share the allocation of one job (``pack``), an attempt like each of them."""

from __future__ import annotations

import contextlib
import threading
import time
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from trainci.executors import agent, words
from trainci.executors.attempt import Attempt
from trainci.executors.base import STOPPED, Job, Wanted, ending_of_stopped
from trainci.executors.engine import EngineExecutor
from trainci.executors.slurm import packs
from trainci.model import events
from trainci.model.device import Pool
from trainci.model.run import Cause, Ending
from trainci.model.tests import Test

_TICK_S = 0.1
# How long the lease's own word of an end waits for the engine's.
_PATIENCE_S = 60.0
# How long after its processes an allocation may end, which is what ended them.
_ENDING_S = 15.0
# How long an allocation may take to end by itself.
_GIVING_BACK_S = 20.0


class SharingExecutor(EngineExecutor):
    """See EngineExecutor. Its allocations are attempts under way, of which nobody else hears."""

    def __init__(self, name: str, wanted: Wanted, pool: Pool, container: Sequence[str]) -> None:
        super().__init__(name, wanted, pool, container)
        self._tests = wanted.tests
        self._allocations: dict[str, Attempt] = {}
        self._sharing = threading.Lock()

    @abstractmethod
    def _ask_soon(self) -> None:
        """Ask the engine soon what has become of its jobs."""

    def _shared(self, one: Test, runs: Path, number: int) -> Job:
        return packs.shared(one, self._tests, len(self.pool.devices), runs, number)

    def _is_allocation(self, attempt: Attempt) -> bool:
        return self._allocations.get(attempt.directory.name) is attempt

    def _has_own_job(self, attempt: Attempt) -> bool:
        """Whether it is to be submitted; one that is stopped before it shares an allocation is treated so, too."""
        shares = bool(attempt.job.test.pack) and not self._is_allocation(attempt)
        return not shares or (attempt.stopped and not attempt.within)

    def _members(self, allocation: Attempt) -> list[Attempt]:
        return [attempt for attempt in self._under_way() if attempt.within == allocation.directory.name]

    def _share(self) -> None:
        """Order tests that share an allocation to begin in the one that they were in, else in one that lives."""
        for attempt in self._under_way():
            if self._has_own_job(attempt):
                continue
            with self._sharing:
                if attempt.within not in self._allocations and attempt in self._under_way():
                    self._take_in(attempt)

    def _take_in(self, attempt: Attempt) -> None:
        job = attempt.job
        try:
            allocation = self._allocation_for(attempt)
            attempt.join(allocation.directory.name)
            gpus = packs.devices_within(job, allocation.job)
            order = agent.Order(attempt.directory.name, gpus, job.time_limit + words.GRACE_SECONDS)
            agent.give(allocation.directory, order)
        except OSError as error:
            self._end(attempt, Ending(Cause.NEVER_STARTED, detail=f"it could not be started: {error.strerror}"))

    def _allocation_for(self, attempt: Attempt) -> Attempt:
        """That which it was in, one that lives, or another.

        :raises OSError: its files cannot be written.
        """
        test, runs = attempt.job.test, attempt.job.log.parent
        for known in self._allocations.values():
            if packs.shares_with(known.job.test, test) and not known.stopped and not attempt.within:
                return known
        number = packs.number_of(attempt.within) if attempt.within else packs.next_number(test.pack, runs)
        allocation = Attempt(self._shared(test, runs, number), _NOBODY)
        self._equip(allocation, partial(self._pass_on, allocation), ())
        self._allocations[allocation.directory.name] = allocation
        with self._lock:
            self._attempts.append(allocation)
        return allocation

    def _pass_on(self, allocation: Attempt, event: events.Control) -> None:
        """Its devices may be taken although the engine gave them: that its tests wait for, too."""
        if isinstance(event, events.Waiting):
            for one in self._members(allocation):
                one.waits(event.why, "", event.why)

    def _follow_within(self, attempts: Sequence[Attempt]) -> None:
        """Take in what they told. An end of our order is over; every other once the allocation outlived it."""
        for attempt in attempts:
            news = attempt.follow()
            if attempt.stopped and attempt.withdraw():
                self._end(attempt, STOPPED)
            elif attempt.stopped and not attempt.told_to_end:
                attempt.told_to_end = True
                with contextlib.suppress(OSError):
                    agent.give(
                        attempt.directory.with_name(attempt.within), agent.Order(attempt.directory.name, end=True)
                    )
            if attempt.reported is None:
                continue
            if attempt.stopped:
                self._end(attempt, ending_of_stopped(attempt.reported))
            else:
                self._take_its_word(attempt)
            if news:
                self._ask_soon()

    def _confirm(self, allocation: Attempt, asked_at: float) -> None:
        """It went on when the engine was asked: whatever ended before that ended by itself.

        Of an end that its own may have brought, that is known a while later: an engine that was killed may take it
        for running for so long.
        """
        for attempt in self._members(allocation) if self._is_allocation(allocation) else ():
            if attempt.reported is None or attempt.ordered:
                continue
            patience = _ENDING_S if packs.may_be_from_outside(attempt.reported) else 0.0
            if attempt.reported_at + patience < asked_at:
                self._end(attempt, attempt.reported)

    def _end(self, attempt: Attempt, ending: Ending) -> None:
        if self._is_allocation(attempt):
            attempt.follow(to_the_end=True)
            with self._sharing:
                # Another thread may have ended it meanwhile.
                if self._allocations.pop(attempt.directory.name, None) is attempt:
                    self._end_members(attempt, ending)
        super()._end(attempt, ending)

    def _end_members(self, allocation: Attempt, ending: Ending) -> None:
        """With an allocation those end that have begun in it; the others go into another.

        Unless none has begun, which would go on for ever, or somebody cancelled it, which is meant for all.
        """
        others_go_on = agent.has_begun(allocation.directory) and ending.cause is not Cause.CANCELLED
        for one in self._members(allocation):
            if others_go_on and not one.has_begun and not one.stopped:
                one.join("")
                continue
            one.follow(to_the_end=True)
            within = packs.ending_within(ending, one.reported, stopped=one.stopped, ordered=one.ordered)
            super()._end(one, within)

    def _take_its_word(self, attempt: Attempt) -> None:
        """Nobody says that a job is over, or answers: after a while the lease's word is enough."""
        if attempt.reported is not None and time.monotonic() - attempt.reported_at > _PATIENCE_S:
            self._end(attempt, attempt.reported)

    def _give_back(self) -> None:
        """Let every allocation end: what is left of one after a while is cancelled."""
        for allocation in list(self._allocations.values()):
            allocation.stopped = not allocation.started
            with contextlib.suppress(OSError):
                agent.give(allocation.directory, agent.Order())
        self._ask_soon()
        until = time.monotonic() + _GIVING_BACK_S
        while self._allocations and time.monotonic() < until:
            time.sleep(_TICK_S)
        for allocation in list(self._allocations.values()):
            self._end(allocation, STOPPED)


class _Nobody:
    """Who shows what an allocation prints, which is none of a test's."""

    def __call__(self, output: events.Output, /) -> None:
        """See Show."""

    def has_room(self, wait: float = 0.0) -> bool:
        """See Show."""
        return True


_NOBODY = _Nobody()
