# expect: the ranks do not do the same: rank 0 of 2 is in all_reduce #2, called in `worker` .*rank 1 of 2 is in broadcast #2, called in `worker`
"""One rank sums first and sends then, the other the other way round."""

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
    gradient = torch.ones(4)
    dist.all_reduce(gradient)
    stuck()
    if rank == 0:
        dist.all_reduce(gradient)
        dist.broadcast(gradient, 0)
    else:
        dist.broadcast(gradient, 0)
        dist.all_reduce(gradient)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
