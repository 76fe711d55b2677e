"""Silent: ranks that meet in collectives, slowly, and always at the same lines."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


def worker(rank, port):
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=f"tcp://127.0.0.1:{port}")
    end = time.monotonic() + SECONDS
    while True:
        time.sleep(PAUSE / 4)
        more = torch.tensor([float(time.monotonic() < end)])
        dist.broadcast(more, 0)
        if not more.item():
            break
    # Else torch's threads may outlive what they use: one process of about eighty aborts as it ends.
    dist.destroy_process_group()


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(worker, (int(os.environ["MASTER_PORT"]),), nprocs=2)
