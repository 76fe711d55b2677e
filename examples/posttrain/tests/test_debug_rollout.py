"""Debugging on Megatron: a rollout is saved, and a second run trains on it with no engine, to the same numbers."""

import tempfile

import _shared

from trainci.testing import main

NUM_GPUS = 1


def prepare():
    _shared.prepare()


def execute():
    run = {"num_gpus": NUM_GPUS, "num_steps": 4}
    common = ["--backend", "megatron", *_shared.DENSE_REWARD]
    with tempfile.TemporaryDirectory(prefix="posttrain-rollouts-") as directory:
        first = _shared.train(*common, "--save-rollout", directory, **run)
        again = _shared.train(*common, "--load-rollout", directory, **run)
    _shared.assert_sound(first, NUM_GPUS)
    for row, same in zip(first, again, strict=True):
        assert row == same, f"step {row['step']} differs when it is trained on the saved rollout"


if __name__ == "__main__":
    main(prepare, execute)
