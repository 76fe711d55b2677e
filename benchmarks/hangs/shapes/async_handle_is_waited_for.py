# expect: rank 0 of 2 never reached all_reduce #1; it is in `load_batch` \(.*\.py:\d+\); rank 1 waits for it since
"""A rank waits for the handle of a collective that the other never begins."""

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
    if rank == 0:
        load_batch()
    handle = dist.all_reduce(torch.ones(4), async_op=True)
    stuck()
    handle.wait()


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
