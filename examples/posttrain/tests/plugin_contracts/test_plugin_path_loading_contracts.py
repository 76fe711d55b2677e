"""Rewards, filters and the data source, loaded from their function paths, keep their contracts."""

from _scripted import SETTINGS

from trainci import contracts

NUM_GPUS = 0
HOOKS = {
    "custom-rm-path": "posttrain.hooks.rule_based_reward",
    "dynamic-sampling-filter-path": "posttrain.hooks.keep_mixed_groups",
    "buffer-filter-path": "posttrain.hooks.pop_first",
    "data-source-path": "posttrain.task.data_source.DataSource",
}


def test_hooks_keep_their_contracts():
    contracts.require(HOOKS, SETTINGS)


if __name__ == "__main__":
    contracts.main(HOOKS, SETTINGS)
