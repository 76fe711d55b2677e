"""Pure: which of the waiting tests start now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trainci.model.device import Pool
from trainci.model.selection import Refused, Selected, Selection
from trainci.model.tests import Test
from trainci.text import counted


@dataclass(frozen=True)
class Fitting:
    """What of a Selection a host can run, and of what it cannot the tests and why.

    ``too_large`` need more devices than there are; ``skipped`` run on GPUs only, and there is none; ``disabled``
    are those that somebody disabled.
    """

    selection: Selection
    too_large: tuple[Refused, ...]
    skipped: tuple[Refused, ...]
    disabled: tuple[Refused, ...] = ()


def fit(selection: Selection, pool: Pool) -> Fitting:
    """Take out the tests that cannot run on ``pool``, each with the ways out."""
    kept: list[Selected] = []
    too_large: list[Refused] = []
    skipped: list[Refused] = []
    disabled: list[Refused] = []
    has_gpus = bool(pool.devices) and not pool.virtual
    for selected in selection.tests:
        test = selected.test
        if test.disabled:
            disabled.append(Refused(test.id, f"disabled: {test.disabled}"))
        elif test.requires_gpu and not has_gpus:
            skipped.append(Refused(test.id, _no_gpu(test, pool)))
        elif test.num_gpus > pool.node_size or (test.num_nodes > pool.nodes):
            too_large.append(Refused(test.id, _too_large(test, pool)))
        else:
            kept.append(selected)
    return Fitting(replace(selection, tests=tuple(kept)), tuple(too_large), tuple(skipped), tuple(disabled))


def _no_gpu(test: Test, pool: Pool) -> str:
    virtual = ", without --devices cpu:N" if pool.virtual else ""
    return (
        f"runs on GPUs only (REQUIRES_GPU), and this run has {pool.sentence}. "
        f"Run it on a host with {counted(test.num_gpus, 'GPU')}{virtual}."
    )


def _too_large(test: Test, pool: Pool) -> str:
    nodes = f" --nodes {test.num_nodes}" if test.num_nodes > 1 else ""
    devices = f"--devices cpu:{max(1, test.num_gpus)}{nodes}"
    # The last thing on its line, to be copied.
    virtual = "." if test.requires_gpu else f", or on virtual devices: {devices}"
    if test.num_nodes > pool.nodes:
        return (
            f"needs {test.num_nodes} nodes of {counted(test.num_gpus, 'device')}, and this is one host. "
            f"Run it with --executor slurm or ray{virtual}"
        )
    return (
        f"needs {counted(test.num_gpus, 'device')}, and this host has {pool.sentence}. "
        f"Run it on a larger host{virtual}"
    )


def start_now(
    waiting: Sequence[Test],
    running: Iterable[Test],
    devices: int,
    cpu_slots: int,
    expected: Mapping[str, float],
) -> list[Test]:
    """The tests to start, longest expected first, so that no long one is left for the end.

    ``expected`` maps test ids to seconds; a test without one is expected to take its whole timeout.
    A test of 0 devices takes one of ``cpu_slots`` instead.
    """
    running = tuple(running)
    free_devices = devices - sum(test.all_gpus for test in running)
    free_slots = cpu_slots - sum(1 for test in running if test.num_gpus == 0)
    started: list[Test] = []
    for test in _longest_first(waiting, expected):
        if test.num_gpus == 0:
            if free_slots > 0:
                free_slots -= 1
                started.append(test)
        elif test.all_gpus <= free_devices:
            free_devices -= test.all_gpus
            started.append(test)
    return started


def prepare_now(waiting: Sequence[Test], preparing: int, slots: int, expected: Mapping[str, float]) -> list[Test]:
    """The tests whose prepare phase starts now, at most ``slots`` at once: in the order of ``start_now``."""
    return _longest_first(waiting, expected)[: max(0, slots - preparing)]


def estimated_end(
    now: float,
    waiting: Iterable[Test],
    running: Iterable[tuple[Test, float]],
    devices: int,
    expected: Mapping[str, float],
) -> float | None:
    """When the last test should end (Unix time), or None while some test has no expected duration.

    The larger of two bounds: the longest test left, and all the work left spread evenly over the devices.
    ``running`` pairs each running test with the time at which it started.
    """
    left = [(test, 0.0) for test in waiting] + [(test, now - started) for test, started in running]
    if any(test.id not in expected for test, _ in left):
        return None
    seconds = [(test, max(0.0, expected[test.id] - elapsed)) for test, elapsed in left]
    work = sum(remaining * max(1, test.all_gpus) for test, remaining in seconds)
    return now + max([work / max(1, devices), *(remaining for _, remaining in seconds)])


def _longest_first(tests: Iterable[Test], expected: Mapping[str, float]) -> list[Test]:
    return sorted(tests, key=lambda test: -expected.get(test.id, test.timeout))
