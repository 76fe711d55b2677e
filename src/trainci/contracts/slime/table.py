"""Every hook that slime (and a trainer of its shape) loads from a function path."""

from __future__ import annotations

from trainci.contracts.contract import Contract, Table
from trainci.contracts.slime import sample_checks, tensor_checks

_ROLLOUT = ("args", "rollout_id", "data_source")

_CONTRACTS = (
    Contract(
        "rollout-function-path",
        _ROLLOUT,
        "groups of samples, or an object with .samples and .metrics",
        sample_checks.rollout,
        keywords=("evaluation",),
    ),
    Contract(
        "eval-function-path",
        _ROLLOUT,
        "{data set: {rewards, truncated, samples}}, or an object with it as .data",
        sample_checks.evaluation,
        keywords=("evaluation",),
    ),
    Contract(
        "custom-generate-function-path",
        ("args", "sample", "sampling_params"),
        "a sample, or a list of samples",
        sample_checks.generate,
        awaited=True,
    ),
    Contract("custom-rm-path", ("args", "sample"), "a number", sample_checks.reward, awaited=True),
    Contract(
        "custom-rm-path",
        ("args", "samples"),
        "a list of numbers, one a sample",
        sample_checks.group_reward,
        awaited=True,
        switch="group-rm",
    ),
    Contract(
        "dynamic-sampling-filter-path",
        ("args", "samples"),
        "a bool, or an object with .keep and .reason",
        sample_checks.dynamic_filter,
    ),
    Contract(
        "buffer-filter-path",
        ("args", "rollout_id", "buffer", "num_samples"),
        "groups taken out of the buffer",
        sample_checks.buffer_filter,
    ),
    Contract(
        "data-source-path",
        ("args",),
        "a class with get_samples, add_samples, save, load and __len__",
        sample_checks.data_source,
    ),
    Contract(
        "rollout-sample-filter-path",
        ("args", "groups"),
        "None (sets sample.remove_sample)",
        sample_checks.sample_filter,
    ),
    Contract(
        "rollout-all-samples-process-path",
        ("args", "all_groups", "data_source"),
        "None",
        sample_checks.all_samples,
    ),
    Contract(
        "rollout-data-postprocess-path",
        ("args", "rollout_id", "rollout_data"),
        "None (changes rollout_data in place)",
        tensor_checks.rollout_data,
        needs_torch=True,
    ),
    Contract(
        "custom-loss-function-path",
        ("args", "batch", "logits", "sum_of_sample_mean"),
        "(scalar loss, metrics)",
        tensor_checks.loss,
        needs_torch=True,
    ),
    Contract(
        "custom-tis-function-path",
        (),
        "(pg_loss, loss_masks, metrics)",
        tensor_checks.importance_sampling,
        keywords=(
            "args",
            "pg_loss",
            "train_log_probs",
            "rollout_log_probs",
            "loss_masks",
            "total_lengths",
            "response_lengths",
        ),
        needs_torch=True,
    ),
    Contract(
        "custom-pg-loss-reducer-function-path",
        ("total_lengths", "response_lengths", "loss_masks", "calculate_per_token_loss"),
        "a function: the tokens' losses -> a scalar",
        tensor_checks.loss_reducer,
        needs_torch=True,
    ),
    Contract(
        "custom-reward-post-process-path",
        ("args", "samples"),
        "(raw_rewards, rewards), one a sample",
        sample_checks.reward_post_process,
    ),
    Contract(
        "custom-convert-samples-to-train-data-path",
        ("args", "samples"),
        f"a dict with {', '.join(sample_checks.TRAIN_DATA)}",
        sample_checks.convert,
    ),
    Contract(
        "custom-rollout-log-function-path",
        ("rollout_id", "args", "samples", "rollout_extra_metrics", "rollout_time"),
        "a bool: True skips the default logging",
        sample_checks.rollout_log,
    ),
    Contract(
        "custom-eval-rollout-log-function-path",
        ("rollout_id", "args", "data", "extra_metrics"),
        "a bool: True skips the default logging",
        sample_checks.eval_log,
    ),
    Contract("custom-megatron-init-path", ("args",), "None", None),
    Contract("custom-megatron-before-log-prob-hook-path", ("args", "model", "store_prefix"), "None", None),
    Contract(
        "custom-megatron-before-train-step-hook-path",
        ("args", "rollout_id", "step_id", "model", "optimizer", "opt_param_scheduler"),
        "None",
        None,
    ),
)

TABLE = Table(
    _CONTRACTS,
    shown=(
        "index",
        "prompt",
        "response",
        "tokens",
        "response_length",
        "loss_mask",
        "rollout_log_probs",
        "reward",
        "status",
    ),
)
