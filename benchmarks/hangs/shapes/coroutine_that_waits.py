# expect: process \d+ \(.*\) is in `start` \(.*\.py:\d+\), in
"""A coroutine awaits what never comes."""

import asyncio
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


async def generate():
    stuck()
    await asyncio.Event().wait()


def start():
    asyncio.run(generate())


if __name__ == "__main__":
    start()
