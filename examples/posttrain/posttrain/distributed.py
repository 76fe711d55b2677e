"""The process group of a run that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@contextmanager
def process_group(meet_at: str = "env://") -> Iterator[torch.device]:
    """Join the process group of torchrun's ranks: NCCL where each rank has a GPU, gloo elsewhere.

    Gives this rank's device: several ranks may share one GPU, over gloo. From here on torch computes
    deterministically. ``meet_at`` is where the ranks find each other, torch's ``init_method``.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    gpus = torch.cuda.device_count()
    own_gpu = 0 < int(os.environ["LOCAL_WORLD_SIZE"]) <= gpus
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % gpus) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if own_gpu else "gloo",
        init_method=meet_at,
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        device_id=device if own_gpu else None,
    )
    yield device
    # Not after a failure: it waits for ranks that wait for this one. Once this one is gone torchrun ends them.
    dist.destroy_process_group()


def gather(value: T) -> list[T]:
    """Every rank's ``value``, in the order of ranks, on every rank."""
    values: list[T | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def share(value: T | None, group: dist.ProcessGroup | None, leader: int) -> T:
    """The leader's ``value`` on every rank of ``group``; a group of None has the leader alone."""
    values = [value]
    if group is not None:
        dist.broadcast_object_list(values, src=leader, group=group)
    return values[0]  # type: ignore[return-value]
