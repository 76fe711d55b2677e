# expect: process \d+ \(.*\) is in `finish_step` \(.*\.py:\d+\), in synchronize
"""A stream waits for a value in memory that nobody writes; the program waits for the stream."""

import ctypes
import time

NUM_GPUS = 1
_NOT_BEFORE = 0  # CU_STREAM_WAIT_VALUE_GEQ


def finish_step(torch):
    torch.cuda.synchronize()


def main():
    import torch

    flag = torch.zeros(1, dtype=torch.int32, device="cuda")
    # The first call of a kernel loads it, which waits for what runs.
    torch.ones(8, device="cuda").add_(1)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    driver = ctypes.CDLL("libcuda.so.1")
    wait = getattr(driver, "cuStreamWaitValue32_v2", None) or driver.cuStreamWaitValue32
    code = wait(
        ctypes.c_void_p(stream.cuda_stream), ctypes.c_uint64(flag.data_ptr()), ctypes.c_uint32(1), _NOT_BEFORE
    )
    assert code == 0, f"the driver refuses to wait: {code}"
    with torch.cuda.stream(stream):
        torch.ones(8, device="cuda").add_(1)
    print(f"stuck {time.time()}", flush=True)
    finish_step(torch)


if __name__ == "__main__":
    main()
