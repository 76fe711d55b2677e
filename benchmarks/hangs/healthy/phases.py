"""Silent phases, each shorter than the window, in other functions."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


def load():
    time.sleep(PAUSE)


def train():
    time.sleep(PAUSE)


def evaluate():
    time.sleep(PAUSE)


def save():
    time.sleep(PAUSE)


if __name__ == "__main__":
    while time.monotonic() < END:
        for phase in (load, train, evaluate, save):
            phase()
