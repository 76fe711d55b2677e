"""The function that generates one sample keeps its contract; ``--custom-generate-function-path`` takes another."""

from _scripted import SETTINGS

from trainci import contracts

NUM_GPUS = 0
HOOKS = {"custom-generate-function-path": "posttrain.hooks.generate_with_retry"}


def test_hooks_keep_their_contracts():
    contracts.require(HOOKS, SETTINGS)


if __name__ == "__main__":
    contracts.main(HOOKS, SETTINGS)
