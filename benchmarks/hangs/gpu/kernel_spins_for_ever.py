# expect: process \d+ \(.*\) is in `read_loss` \(.*\.py:\d+\)
"""A kernel that does not end keeps its GPU at 100 %, and the program waits for a number."""

import time

NUM_GPUS = 1


def read_loss(loss):
    return loss.item()


def main():
    import torch

    # The first call of a kernel loads it, which waits for what runs.
    loss = torch.zeros(1, device="cuda").add_(1)
    torch.cuda.synchronize()
    torch.cuda._sleep(1 << 50)
    loss.add_(1)
    print(f"stuck {time.time()}", flush=True)
    read_loss(loss)


if __name__ == "__main__":
    main()
