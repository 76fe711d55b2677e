# expect: the ranks do not do the same: rank 0 of 2 is in all_gather #2.*rank 1 of 2 is in all_gather #2|rank [01] of 2
"""Two ranks gather tensors of different shapes, and wait for what is missing."""

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


def worker(rank):
    torch, dist = join(rank)
    dist.all_reduce(torch.ones(4))
    stuck()
    count = 1 << 20 if rank == 0 else 1 << 21
    dist.broadcast(torch.ones(count), 0) if rank == 0 else dist.recv(torch.ones(count), 0)
    dist.all_reduce(torch.ones(count))


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
