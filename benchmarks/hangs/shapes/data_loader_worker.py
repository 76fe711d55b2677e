# expect: process \d+ \(.*\) is in `__getitem__` \(.*\.py:\d+\)
"""The worker of a DataLoader waits for a lock that its parent held when it was made."""

import threading
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


lock = threading.Lock()


class Samples:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        stuck()
        with lock:
            return index


def main():
    from torch.utils.data import DataLoader

    with lock:
        for _ in DataLoader(Samples(), num_workers=1):
            pass


if __name__ == "__main__":
    main()
