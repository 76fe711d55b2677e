"""What a run is asked for where its command says nothing: written out once more, for ``_held`` to hold a run to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DEFAULTS = {
    # GRPO with DAPO's bounds (arXiv:2503.14476), λ of PPO (arXiv:1707.06347); nothing is cold or discounted.
    "temperature": 1.0, "advantage_estimator": "grpo", "per_token_loss": False,
    "clip_low": 0.2, "clip_high": 0.28, "value_clip": 0.2, "gae_gamma": 1.0, "gae_lambda": 0.95,
    "use_tis": False, "tis_clip": 2.0, "mtp_loss_weight": 0.0, "critic_warmup_steps": 0,
    "learning_rate": 2e-3, "critic_learning_rate": 2e-3, "max_grad_norm": 1.0,
    "prompts_per_step": 32, "samples_per_prompt": 8, "max_new_tokens": 3, "num_steps": 1, "seed": 0,
    "micro_batch_size": 0, "sequence_width": 0, "save_interval": 1, "backend": "fsdp", "dtype": "auto",
    "tensor_parallel": 1, "pipeline_parallel": 1, "context_parallel": 1, "expert_parallel": 1,
    "moe_dispatcher": "allgather", "teacher_url": None, "save": None, "load": None, "save_rollout": None,
    "load_rollout": None, "async_rollout": False, "true_on_policy": False, "fp8_rollout": False,
    "routing_replay": False, "async_save": False, "optimizer_on_cpu": False, "group_rm": False,
    # Without a word of theirs, hooks are the package's own, or there is none.
    "rollout_function_path": "posttrain.rollout.function.generate_rollout",
    "custom_rm_path": "posttrain.hooks.rule_based_reward", "buffer_filter_path": "posttrain.hooks.pop_first",
    "data_source_path": "posttrain.task.data_source.DataSource",
}  # fmt: skip


def assert_unsaid(options: dict[str, Any], command: Sequence[str]) -> None:
    """Hold every option that ``command`` does not name to the table; what stands in none is None."""
    said = {word.removeprefix("--").replace("-", "_") for word in command if word.startswith("--")}
    for name, found in options.items():
        due = DEFAULTS.get(name)
        assert name in said or found == due, f"nothing is said of {name}, and it is {found!r}, not {due!r}"
