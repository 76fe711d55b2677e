# expect: rank 1 of 2 never reached all_reduce #2; it is in `tokenize` \(.*\.py:\d+\); rank 0 waits for it since
"""A rank is in C and lets no other thread of it run, while the other rank waits."""

import ctypes
import os
import time

NUM_GPUS = 1


def join(rank, world_size=2):
    import torch
    import torch.distributed as dist

    port = os.environ["MASTER_PORT"]
    dist.init_process_group("gloo", rank=rank, world_size=world_size, init_method=f"tcp://127.0.0.1:{port}")
    return torch, dist


def stuck():
    print(f"stuck {time.time()}", flush=True)


def tokenize():
    stuck()
    ctypes.PyDLL(None).sleep(3600)


def worker(rank):
    torch, dist = join(rank)
    dist.all_reduce(torch.ones(4))
    if rank == 1:
        tokenize()
    stuck()
    dist.all_reduce(torch.ones(4))


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
