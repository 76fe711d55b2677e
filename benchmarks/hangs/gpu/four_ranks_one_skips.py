# expect: rank 2 of 4 never reached all_reduce #3; it is in `load_batch` \(.*\.py:\d+\); ranks 0, 1, 3 wait for it
"""One of four ranks leaves out an all_reduce of NCCL: the others keep their GPUs busy, and wait."""

import os
import time

NUM_GPUS = 4


def load_batch():
    print(f"stuck {time.time()}", flush=True)
    time.sleep(3600)


def train(rank, port):
    import torch
    import torch.distributed as dist

    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", rank=rank, world_size=4, init_method=f"tcp://127.0.0.1:{port}")
    gradient = torch.ones(1024, device="cuda")
    for _ in range(2):
        dist.all_reduce(gradient)
        torch.cuda.synchronize()
    if rank == 2:
        load_batch()
    dist.all_reduce(gradient)
    print(f"stuck {time.time()}", flush=True)
    torch.cuda.synchronize()


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(train, (int(os.environ["MASTER_PORT"]),), nprocs=4)
