# expect: rank 0 waits in all_reduce #1 of group \w+ for rank 1, in `worker` .*; rank 1 waits in all_reduce #1 of group \w+ for rank 0, in `worker` .*each waits for another
"""Two ranks use two groups, each the other one first."""

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
    first, second = dist.new_group([0, 1]), dist.new_group([0, 1])
    stuck()
    dist.all_reduce(torch.ones(4), group=first if rank == 0 else second)
    dist.all_reduce(torch.ones(4), group=second if rank == 0 else first)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
