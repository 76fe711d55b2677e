# expect: process \d+ \(.*\) is in `load_batch` \(.*\.py:\d+\)
"""A rank waits for the other ones to meet, and one never comes."""

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
    if rank == 1:
        load_batch()
    stuck()
    join(rank)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
