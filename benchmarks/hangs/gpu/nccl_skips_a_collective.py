# expect: rank 1 of 2 never reached all_reduce #4; it is in `load_batch` \(.*\.py:\d+\); rank 0 waits for it
"""Rank 1 leaves out an all_reduce of NCCL: rank 0 keeps its GPU busy, and waits."""

import os
import time

NUM_GPUS = 2


def load_batch():
    print(f"stuck {time.time()}", flush=True)
    time.sleep(3600)


def train(rank, port):
    import torch
    import torch.distributed as dist

    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", rank=rank, world_size=2, init_method=f"tcp://127.0.0.1:{port}")
    gradient = torch.ones(1024, device="cuda")
    for _ in range(3):
        dist.all_reduce(gradient)
        torch.cuda.synchronize()
    if rank == 1:
        load_batch()
    dist.all_reduce(gradient)
    print(f"stuck {time.time()}", flush=True)
    torch.cuda.synchronize()


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(train, (int(os.environ["MASTER_PORT"]),), nprocs=2)
