"""What the history knows of gated metrics: for the verdict of a run, and to be shown."""

from __future__ import annotations

from collections.abc import Iterable

from trainci.history.keeper import Keeper
from trainci.history.store import Recorded, Store, StoreError
from trainci.model.gates import Baseline, Gate
from trainci.model.tests import Test
from trainci.verdict.baselines import Series, series

# Enough to find as many trusted ones among, and a plot that can be read.
_MOST = 500
# How long a run waits for them, which decide of verdicts.
_GATES_S = 5.0


def known_baselines(keeper: Keeper, tests: Iterable[Test], base: str) -> dict[str, Baseline]:
    """What the metrics of ``tests`` are held to that their history gates; ``base`` is the base branch.

    Where the history does not answer it gates nothing, which is said.
    """
    gated = [test for test in tests if any(gate.by_history for gate in test.metrics)]
    if not gated:
        return {}
    try:
        return keeper.ask(
            lambda store: {test.id: _baseline(store, test.id, test.metrics, base) for test in gated}, _GATES_S
        )
    except StoreError as error:
        keeper.say(f"{error} In this run, no metric is gated by its history.")
        return {}


def every_gate(gates: Iterable[Gate], recorded: Iterable[Recorded]) -> list[Gate]:
    """``gates``, which a test declares, and one for every other metric that it ``recorded``, by its last value."""
    wanted = {gate.metric: gate for gate in gates}
    for one in recorded:
        wanted.setdefault(one.last.name, Gate(one.last.name))
    return list(wanted.values())


def series_of(store: Store, test_id: str, gates: Iterable[Gate]) -> tuple[Series, ...]:
    """The values of the metric of each of ``gates`` over runs, the newest first, with their bands of 95 % and 99 %.

    A metric has a series for each kind of device and each image.
    """
    decisions = store.decisions(test_id)
    return tuple(
        found
        for gate in gates
        for found in series(
            gate,
            store.measurements(test_id, gate.metric, gate.step, _MOST),
            (one for one in decisions if one.metric == gate.metric),
        )
    )


def _baseline(store: Store, test_id: str, gates: Iterable[Gate], base: str) -> Baseline:
    steps = {gate.metric: gate.step for gate in gates if gate.by_history}
    measured = {metric: tuple(store.measurements(test_id, metric, step, _MOST)) for metric, step in steps.items()}
    return Baseline(base, measured, tuple(store.decisions(test_id)))
