"""A first test under trainci: `python tests/test_first.py` runs it alone, `trainci run short` with its suite."""

import os

# Read from this file's text, never by importing it. 0 is a CPU test; write 4 and trainci leases 4 GPUs for it.
NUM_GPUS = 0


def prepare():
    """Downloads and conversions go here."""


def execute():
    leased = [device for device in os.environ.get("TRAINCI_DEVICES", "").split(",") if device]
    assert len(leased) == NUM_GPUS, f"expected {NUM_GPUS} devices, got {leased}"


if __name__ == "__main__":
    prepare()
    execute()
