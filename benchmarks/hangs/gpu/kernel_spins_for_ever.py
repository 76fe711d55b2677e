# expect: process \d+ \(.*\) is in `read_loss` \(.*\.py:\d+\)
"""A kernel that does not end keeps its GPU at 100 %, and the program waits for a number."""

import time

NUM_GPUS = 1


def read_loss(loss):
    return loss.item()


def main():
    import torch

    loss = torch.ones(1, device="cuda")
    torch.cuda.synchronize()
    torch.cuda._sleep(1 << 50)
    loss.add_(1)
    print(f"stuck {time.time()}", flush=True)
    read_loss(loss)


if __name__ == "__main__":
    main()
