"""The hooks between rollout and training keep their contracts; without torch, the loss by its signature only."""

from trainci import contracts

NUM_GPUS = 0
HOOKS = {
    "custom-reward-post-process-path": "posttrain.hooks.centred_rewards",
    "rollout-data-postprocess-path": "posttrain.hooks.mask_truncated",
    "custom-loss-function-path": "posttrain.training.losses.reinforce_loss",
}


def test_hooks_keep_their_contracts():
    contracts.require(HOOKS)


if __name__ == "__main__":
    contracts.main(HOOKS)
