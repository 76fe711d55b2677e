# expect: rank 2 of 3 never reached all_reduce #1; it is in `load_batch` \(.*\.py:\d+\); rank 0 waits for it since
"""A group of ranks 0 and 2 waits for rank 2."""

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
    torch, dist = join(rank, 3)
    group = dist.new_group([0, 2])
    if rank == 2:
        load_batch()
    stuck()
    if rank == 0:
        dist.all_reduce(torch.ones(4), group=group)
    time.sleep(3600)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=3)
