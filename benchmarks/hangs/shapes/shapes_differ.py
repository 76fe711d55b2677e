# expect: the ranks do not do the same: rank 0 of 2 is in all_reduce #2.*rank 1 of 2 is in all_reduce #3
"""Two ranks reduce tensors of different shapes: gloo cuts both into pieces of 1 MB, and one waits for more of them."""

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
    dist.all_reduce(torch.ones(1 << 23 if rank == 0 else 1 << 22))
    dist.all_reduce(torch.ones(4))


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
