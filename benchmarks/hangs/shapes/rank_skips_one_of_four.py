# expect: rank 2 of 4 never reached barrier #2; it is in `load_batch` \(.*\.py:\d+\); ranks 0, 1, 3 wait for it since
"""One of four ranks does not come to a barrier."""

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
    torch, dist = join(rank, 4)
    dist.all_reduce(torch.ones(4))
    if rank == 2:
        load_batch()
    stuck()
    dist.barrier()


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, nprocs=4)
