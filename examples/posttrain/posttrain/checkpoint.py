"""Checkpoints of a run. This file alone knows how their directory is laid out.

    DIR/latest                  the name of the newest complete checkpoint
    DIR/step_000003/trainer.pt  the step, the random states of all ranks, samples that wait
    DIR/step_000003/data/       what the data sources saved
    DIR/step_000003/policy/     what the backend saved; critic/ beside it
    DIR/step_000004.writing/    is being written, or was when its run was killed

A checkpoint gets its name when every rank has written its part; after that, ``latest`` names it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist

from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Backend, Replica
from posttrain.distributed import gather
from posttrain.sample import Sample

_UNFINISHED = ".writing"


class DataPlace(Protocol):
    """Saves and loads the place in the data of this rank's replica; on a rank that reads none, nothing."""

    replica: Replica

    def save(self, directory: Path, step: int) -> None: ...

    def load(self, directory: Path, step: int) -> None: ...


@dataclass(frozen=True)
class Start:
    """Where a run begins."""

    step: int = 0
    """How many updates are done."""
    samples: list[Sample] | None = None
    """What the next one trains on, where it was sampled already."""


def load(config: Config, models: Mapping[str, Backend], data: DataPlace) -> Start:
    """Take over the newest checkpoint of ``--load``, if there is one; all ranks together.

    Ranks that the saved run did not have keep their random states.

    :raises BadArguments: the one that is named as newest is gone.
    """
    checkpoint = newest(config.load) if config.load else None
    if not checkpoint:
        return Start()
    # Samples hold whatever a hook puts into them. Who writes checkpoints could change the trainer's code as well.
    state = torch.load(checkpoint / "trainer.pt", weights_only=False)
    for name, model in models.items():
        model.load(checkpoint / name)
    data.load(checkpoint / "data", state["step"])
    if dist.get_rank() < len(state["random"]):
        _set_random_states(state["random"][dist.get_rank()])
    samples = _dealt(state["samples"], data.replica, config.samples_per_prompt)
    return Start(state["step"], samples or None)


def newest(directory: Path) -> Path | None:
    """The newest complete checkpoint in ``directory``; or itself, if it is a checkpoint."""
    if (directory / "trainer.pt").exists():
        return directory
    pointer = directory / "latest"
    if not pointer.exists():
        return None
    checkpoint = directory / pointer.read_text(encoding="utf-8").strip()
    if not checkpoint.exists():
        raise BadArguments(f"{pointer} names {checkpoint.name}, which is gone; write the name of another into it")
    return checkpoint


class Checkpoints:
    """Writes those of ``--save``; all ranks call each method together."""

    def __init__(self, config: Config, models: Mapping[str, Backend], data: DataPlace, start: Start):
        self._directory = config.save
        self._asynchronous = config.async_save
        self._models = models
        self._data = data
        self._writing: Path | None = None
        there = newest(config.save) if config.save else None
        if there and _step(there) > start.step:
            raise BadArguments(
                f"--save {config.save} holds {there.name} already, and this run begins after step {start.step}: "
                f"save into another directory, or go on from there with --load {config.save}"
            )

    def save(self, step: int, samples: list[Sample] | None) -> None:
        """Write the state after ``step``; with ``--async-save``, return while it is being written.

        ``samples`` are those that this rank's replica has waiting for the next step.
        """
        assert self._directory
        self.finish()
        self._writing = writing = self._directory / f"step_{step:06}{_UNFINISHED}"
        if dist.get_rank() == 0:
            _remove_leftovers(self._directory)
            for name in ("data", *self._models):
                (writing / name).mkdir(parents=True)
        dist.barrier()
        self._data.save(writing / "data", step)
        state = {
            "step": step,
            "random": gather(_random_states()),
            "samples": self._data.replica.gather(samples or []),
        }
        if dist.get_rank() == 0:
            torch.save(state, writing / "trainer.pt")
        for name, model in self._models.items():
            model.save(writing / name, asynchronous=self._asynchronous)
        if not self._asynchronous:
            self.finish()

    def finish(self) -> None:
        """Wait for the save that is going on, if any, and make it the newest."""
        if not self._writing:
            return
        for model in self._models.values():
            model.finish_save()
        dist.barrier()
        if dist.get_rank() == 0:
            _publish(self._writing)
        self._writing = None


def _publish(written: Path) -> None:
    checkpoint = written.with_suffix("")
    written.rename(checkpoint)
    pointer = written.with_name("latest")
    fresh = pointer.with_suffix(_UNFINISHED)
    fresh.write_text(checkpoint.name + "\n", encoding="utf-8")
    fresh.replace(pointer)


def _remove_leftovers(directory: Path) -> None:
    """A run that was killed left what ``latest`` does not know yet."""
    last = newest(directory)
    for path in directory.glob("step_*"):
        if path.suffix == _UNFINISHED or last is None or _step(path) > _step(last):
            shutil.rmtree(path)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step_"))


def _dealt(samples: list[list[Sample]], replica: Replica, group_size: int) -> list[Sample]:
    """This replica's part of what all replicas had; its own, if they are as many as before."""
    if len(samples) == replica.count:
        return samples[replica.index]
    every = [sample for part in samples for sample in part]
    groups = [every[first : first + group_size] for first in range(0, len(every), group_size)]
    return [sample for group in groups[replica.index :: replica.count] for sample in group]


def _random_states() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state()
    states = {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_states(states: Mapping[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
