"""Moonlight (DeepSeek-V3's architecture) on Megatron: latent attention, shared experts, expert parallel.

``--routing-replay`` trains each token on the experts that the rollout chose for it.
"""

import sys

import _shared

from trainci.testing import main

NUM_GPUS = 4


def prepare():
    _shared.prepare("moonlight")


def execute():
    layout = ["--tensor-parallel", "2", "--expert-parallel", "2", *_shared.DENSE_REWARD, *sys.argv[1:]]
    rows = _shared.train(
        "--backend", "megatron", *layout, num_gpus=NUM_GPUS, family="moonlight", num_steps=12, held=2
    )
    _shared.assert_sound(rows, NUM_GPUS)
    _shared.assert_reward_rises(rows, by=0.1)
    if "--routing-replay" in sys.argv:
        _shared.assert_experts_replayed(rows)


if __name__ == "__main__":
    main(prepare, execute)
