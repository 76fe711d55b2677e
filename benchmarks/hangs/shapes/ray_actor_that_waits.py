# expect: in `step` \(.*\.py:\d+\)
"""A driver of ray waits for an actor that waits for ever."""

import threading
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def main():
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=True)

    @ray.remote
    class Trainer:
        def step(self):
            print(f"stuck {time.time()}", flush=True)
            threading.Event().wait()

    ray.get(Trainer.remote().step.remote())


if __name__ == "__main__":
    main()
