# expect: rank 1 of 2 never reached all_reduce #3; it is in `load_batch` \(.*\.py:\d+\); rank 0 waits for it since
"""A rank leaves out an all_reduce."""

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


def load_batch():
    stuck()
    time.sleep(3600)


def worker(rank):
    torch, dist = join(rank)
    gradient = torch.ones(4)
    for _ in range(2):
        dist.all_reduce(gradient)
    if rank == 1:
        load_batch()
    stuck()
    dist.all_reduce(gradient)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
