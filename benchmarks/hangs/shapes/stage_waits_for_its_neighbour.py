# expect: rank 0 of 2 is in `load_batch` \(.*\.py:\d+\); rank 1 waits since
"""A stage of a pipeline waits for what its neighbour does not send."""

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
    activations = torch.ones(4)
    if rank == 0:
        dist.send(activations, 1)
        load_batch()
    dist.recv(activations, 0)
    stuck()
    dist.recv(activations, 0)


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=2)
