# expect: rank 0 of 2 is in `load_batch` \(.*\.py:\d+\); rank 1 waits
"""A stage of a pipeline waits in NCCL for what its neighbour never sends."""

import os
import time

NUM_GPUS = 2


def load_batch():
    print(f"stuck {time.time()}", flush=True)
    time.sleep(3600)


def stage(rank, port):
    import torch
    import torch.distributed as dist

    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", rank=rank, world_size=2, init_method=f"tcp://127.0.0.1:{port}")
    activations = torch.ones(1024, device="cuda")
    for step in range(3):
        if rank == 0:
            if step == 2:
                load_batch()
            dist.send(activations, 1)
        else:
            dist.recv(activations, 0)
        if step == 2:
            print(f"stuck {time.time()}", flush=True)
        torch.cuda.synchronize()


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(stage, (int(os.environ["MASTER_PORT"]),), nprocs=2)
