"""A run from its first event, or from where a killed runner left it, to its summary."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, nullcontext
from pathlib import Path

from trainci.commands.run.options import Options
from trainci.commands.run.reporting import reports
from trainci.commands.run.screen import console, interrupting
from trainci.console.painter import Painter
from trainci.errors import UsageError
from trainci.executors.base import Executor
from trainci.history.artifacts import Sender
from trainci.history.event_log import EventLog, read_events
from trainci.history.keeper import Keeper
from trainci.history.places import Place
from trainci.history.samples import Sampler
from trainci.host.clock import steady_time
from trainci.host.devices.usage import usage
from trainci.model import events
from trainci.model.run import Run
from trainci.paths import RunPaths, StatePaths
from trainci.plan import Plan
from trainci.runner import Runner


def go(
    root: Path,
    plan: Plan,
    executor: Executor,
    state: StatePaths,
    options: Options,
    place: Place | None,
    keeper: Keeper,
    notes: Iterable[str] = (),
) -> tuple[Run, Exception | None]:
    """The finished run, and what went wrong where it was painted, which ends no run.

    Its files go to ``place``, too.

    :raises UsageError: the run has ended before.
    """
    paths = RunPaths(state, plan.run_id)
    painter = Painter(console(root, plan, executor.pool, options))
    # It waits for a runner that still lives, and what that one has told is whole from then on.
    with closing(EventLog(paths, painter.note)) as log:
        told = list(read_events(paths.events))
        if told and isinstance(told[-1], events.RunEnded):
            raise UsageError(f"run {plan.run_id} has ended with exit code {told[-1].exit_code}.")
        keeper.say = painter.note
        sampler = Sampler(paths.directory, usage, steady_time)
        sender = Sender(place, state, plan.run_id, reports, painter.note) if place else None
        listeners = (log, keeper, painter, sampler)
        also = (sender,) if sender else ()
        runner = Runner(plan, executor, paths, (*listeners, *also), painter, steady_time)
        runner.resume(told)
        with interrupting(runner, painter), painter:
            for event in told:
                for listener in (keeper, painter, *also):
                    listener(event)
            for note in notes:
                painter.note(note)
            # Last: what the others write is sent, too.
            with closing(sender) if sender else nullcontext(), closing(keeper), closing(sampler):
                run = runner.run()
                devices, hosts = keeper.suspects(plan.host, executor.known_since())
            for suspect in devices:
                executor.suspect([suspect.device], suspect.sentence, broken=True)
                painter.note(f"quarantined {suspect.sentence}; `trainci gpus` shows it")
            for suspect in hosts:
                painter.note(f"host {suspect.sentence}; `trainci host check` there says what is wrong with it")
            painter.summary(run, root)
    return run, painter.error
