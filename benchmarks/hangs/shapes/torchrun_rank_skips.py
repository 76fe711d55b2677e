# expect: rank 1 of 2 never reached all_reduce #1; it is in `load_batch` \(.*\.py:\d+\); rank 0 waits for it since
"""Ranks that torchrun started: one of them does not come to an all_reduce."""

import os
import subprocess
import sys
import time

NUM_GPUS = 1


def load_batch():
    print(f"stuck {time.time()}", flush=True)
    time.sleep(3600)


def worker():
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    if dist.get_rank() == 1:
        load_batch()
    print(f"stuck {time.time()}", flush=True)
    dist.all_reduce(torch.ones(4))


if __name__ == "__main__":
    if "RANK" in os.environ:
        worker()
    else:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
        sys.exit(subprocess.call([*launcher, __file__]))
