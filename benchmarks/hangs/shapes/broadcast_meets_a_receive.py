# expect: rank 1 of 2 never reached broadcast #2|the ranks do not do the same
"""One rank broadcasts what the other waits to be sent by it alone."""

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
    tensor = torch.ones(1 << 20)
    dist.broadcast(tensor, 0) if rank == 0 else dist.recv(tensor, 0)
    dist.all_reduce(tensor)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
