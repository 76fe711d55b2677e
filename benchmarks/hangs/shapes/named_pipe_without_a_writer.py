# expect: process \d+ \(.*\) is in `read_config` \(.*\.py:\d+\)
"""A program opens a named pipe that nobody writes to."""

import os
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def read_config(path):
    stuck()
    with open(path) as file:
        return file.read()


if __name__ == "__main__":
    os.mkfifo("config")
    read_config("config")
