# expect: rank 3 of 4 never reached all_reduce #\d+; it is in `load_batch` \(.*\.py:\d+\); rank
"""Four ranks, two by two tensor parallel and two by two data parallel: one stops, and one after another waits."""

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
    tensor = [dist.new_group(ranks) for ranks in ([0, 1], [2, 3])][rank // 2]
    data = [dist.new_group(ranks) for ranks in ([0, 2], [1, 3])][rank % 2]
    hidden = torch.ones(1024, device="cuda")
    for step in range(3):
        if (rank, step) == (3, 2):
            load_batch()
        for group in (tensor, data):
            dist.all_reduce(hidden, group=group)
            if step == 2:
                print(f"stuck {time.time()}", flush=True)
            torch.cuda.synchronize()


if __name__ == "__main__":
    import torch.multiprocessing

    torch.multiprocessing.spawn(train, (int(os.environ["MASTER_PORT"]),), nprocs=4)
