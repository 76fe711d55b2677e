"""Quick start: a dense GLM4 on Megatron, two tensor-parallel by two pipeline-parallel devices."""

import _shared

from trainci.testing import main

NUM_GPUS = 4


def prepare():
    _shared.prepare("glm4")


def execute():
    layout = [
        "--tensor-parallel",
        "2",
        "--pipeline-parallel",
        "2",
        "--micro-batch-size",
        "64",
        *_shared.DENSE_REWARD,
    ]
    rows = _shared.train("--backend", "megatron", *layout, num_gpus=NUM_GPUS, family="glm4", num_steps=12, held=2)
    _shared.assert_sound(rows, NUM_GPUS)
    _shared.assert_reward_rises(rows, by=0.1)


if __name__ == "__main__":
    main(prepare, execute)
