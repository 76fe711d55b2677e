"""Rewards and filters, loaded from their function paths, keep their contracts."""

from trainci.testing import contracts

NUM_GPUS = 0
HOOKS = {
    "custom-rm-path": "posttrain.hooks.rule_based_reward",
    "dynamic-sampling-filter-path": "posttrain.hooks.keep_mixed_groups",
}


def test_hooks_keep_their_contracts():
    contracts.require(HOOKS)


if __name__ == "__main__":
    contracts.main(HOOKS)
