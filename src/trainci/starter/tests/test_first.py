"""A first test: `trainci run short` runs it with its suite, `python tests/test_first.py` alone."""

import os

# Read from this file's text, never by importing it. 0 is a CPU test; write 4 and trainci leases 4 GPUs for it.
NUM_GPUS = 0


def prepare():
    print("download here")


def execute():
    print("train here")
    leased = [device for device in os.environ.get("TRAINCI_DEVICES", "").split(",") if device]
    assert len(leased) == NUM_GPUS, f"expected {NUM_GPUS} devices, got {leased}"


if __name__ == "__main__":
    prepare()
    execute()
