"""The rollout function keeps its contract, and with every hook that it calls in turn.

``python tests/plugin_contracts/test_plugin_rollout_contracts.py --rollout-function-path my_pkg.rollout.generate``
holds another one to it.
"""

from _scripted import SETTINGS

from trainci import contracts

NUM_GPUS = 0
HOOKS = {
    "rollout-function-path": "posttrain.rollout.function.generate_rollout",
    "eval-function-path": "posttrain.rollout.function.generate_rollout",
}
FULLY_ASYNC = dict.fromkeys(HOOKS, "posttrain.rollout.fully_async.generate_rollout")


def test_hooks_keep_their_contracts():
    contracts.require(HOOKS, SETTINGS)


def test_fully_asynchronous_hooks_keep_their_contracts():
    contracts.require(FULLY_ASYNC, SETTINGS)


def test_the_rollout_function_keeps_its_contract_with_hooks_of_its_own():
    own = {
        "custom_generate_function_path": "posttrain.hooks.generate_with_retry",
        "dynamic_sampling_filter_path": "posttrain.hooks.keep_mixed_groups",
    }
    contracts.require(HOOKS, {**SETTINGS, **own})


if __name__ == "__main__":
    contracts.main(HOOKS, SETTINGS)
