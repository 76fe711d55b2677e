# expect: rank 0 of 2 is in `receive` \(.*\), in recv .*; rank 1 of 2 is in `receive` \(.*\), in recv
"""Two stages of a pipeline each wait for the other one."""

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


def receive(dist, activations, source):
    stuck()
    dist.recv(activations, source)


def worker(rank):
    torch, dist = join(rank)
    receive(dist, torch.ones(4), 1 - rank)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
