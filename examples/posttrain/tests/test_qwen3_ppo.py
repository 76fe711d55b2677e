"""PPO on Megatron: a critic learns the values that the policy's advantages rest on."""

import _shared

from trainci.testing import main

NUM_GPUS = 4


def prepare():
    _shared.prepare("qwen3")


def execute():
    options = ["--advantage-estimator", "ppo", "--tensor-parallel", "2"]
    options += [*_shared.DENSE_REWARD, *_shared.CALM_CRITIC]
    rows = _shared.train("--backend", "megatron", *options, num_gpus=NUM_GPUS, family="qwen3", num_steps=16, held=2)
    _shared.assert_sound(rows, NUM_GPUS)
    _shared.assert_critic_learns(rows)
    _shared.assert_reward_rises(rows, by=0.1)


if __name__ == "__main__":
    main(prepare, execute)
