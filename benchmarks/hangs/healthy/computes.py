"""Silent: it computes, in Python."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


def parse(line):
    fields = line.split(",")
    return sum(float(field) for field in fields)


def index(lines):
    table = {}
    for number, line in enumerate(lines):
        table[number % 97] = table.get(number % 97, 0.0) + parse(line)
        if time.monotonic() > END:
            return table
    return table


if __name__ == "__main__":
    while time.monotonic() < END:
        index([",".join(str(random.random()) for _ in range(20)) for _ in range(200)])
