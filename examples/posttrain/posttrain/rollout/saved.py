"""Rollouts on disk, a file for each step and replica: what ``--save-rollout`` and ``--load-rollout`` mean."""

from __future__ import annotations

from pathlib import Path

import torch

from posttrain.arguments import BadArguments
from posttrain.backends.base import Replica
from posttrain.sample import Rollout, Sample


def write(directory: Path, step: int, replica: Replica, rollout: Rollout) -> None:
    """Write plain values and tensors only, which can be read without running what is in the file."""
    directory.mkdir(parents=True, exist_ok=True)
    samples = [{**vars(sample), "status": sample.status.value} for sample in rollout.samples]
    torch.save({**vars(rollout), "samples": samples}, _path(directory, step, replica))


def read(directory: Path, step: int, replica: Replica) -> Rollout:
    """What ``write`` was given.

    :raises BadArguments: there is no such file, or it is something else.
    """
    path = _path(directory, step, replica)
    if not path.is_file():
        raise BadArguments(
            f"--load-rollout: {path} does not exist; save the rollouts of as many steps and replicas as are trained"
        )
    try:
        saved = torch.load(path, weights_only=True)
        samples = [Sample(**{**sample, "status": Sample.Status(sample["status"])}) for sample in saved["samples"]]
        return Rollout(**{**saved, "samples": samples})
    except Exception as error:
        raise BadArguments(f"--load-rollout: {path} is no rollout of --save-rollout: {error!r:.200}") from error


def _path(directory: Path, step: int, replica: Replica) -> Path:
    return directory / f"step-{step}-replica-{replica.index + 1}-of-{replica.count}.pt"
