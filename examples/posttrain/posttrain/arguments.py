"""The command line of ``train.py`` and the Config that it fills: one field, one option."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BadArguments(ValueError):
    """The command line asks for what cannot be done; the text is for whoever wrote it."""


def _option(default: Any, help: str = "", *, choices: Sequence[str] = (), at_least: int | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices, "at_least": at_least})


def _path(help: str, default: str | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"help": help, "hook": True})


@dataclass(frozen=True)
class Config:
    """One training run. Batch sizes count over all ranks."""

    model_path: Path = _option(None, "a transformers checkpoint directory with tokenizer.json")
    data_path: Path = _option(None, "JSON lines with question and answer, as gsm8k")
    metrics_path: Path = _option(None, "JSON lines that rank 0 writes, one a step")

    backend: str = _option("fsdp", "the training engine")
    dtype: str = _option("auto", "auto: bfloat16 on a GPU", choices=("auto", "float32", "bfloat16"))
    tensor_parallel: int = _option(1, "megatron only, as the next four", at_least=1)
    pipeline_parallel: int = _option(1, at_least=1)
    context_parallel: int = _option(1, at_least=1)
    expert_parallel: int = _option(1, at_least=1)
    moe_dispatcher: str = _option("allgather", "how tokens reach their experts", choices=("allgather", "alltoall"))
    micro_batch_size: int = _option(0, "sequences in one forward pass of a rank; 0: all of its share", at_least=0)
    sequence_width: int = _option(0, "pad every sequence to this width; 0: to the longest", at_least=0)

    num_steps: int = _option(1, at_least=1)
    prompts_per_step: int = _option(32, at_least=1)
    samples_per_prompt: int = _option(8, "the group over which advantages are normalised", at_least=1)
    max_new_tokens: int = _option(3, at_least=1)
    temperature: float = _option(1.0)
    seed: int = _option(0)

    learning_rate: float = _option(2e-3)
    max_grad_norm: float = _option(1.0)
    advantage_estimator: str = _option("grpo", choices=("grpo", "ppo", "opd"))
    per_token_loss: bool = _option(False, "mean over all tokens, not over samples' own means")
    clip_low: float = _option(0.2, "the probability ratio is clipped to [1 - clip_low, 1 + clip_high]")
    clip_high: float = _option(0.28)
    use_tis: bool = _option(False, "truncated importance sampling between rollout and training")
    tis_clip: float = _option(2.0, "the largest importance weight")
    critic_learning_rate: float = _option(2e-3)
    critic_warmup_steps: int = _option(0, "ppo: steps that train the critic only", at_least=0)
    value_clip: float = _option(0.2, "ppo: how far a value may move from the rollout's")
    gae_gamma: float = _option(1.0)
    gae_lambda: float = _option(0.95)
    teacher_url: str | None = _option(None, "opd: http://HOST:PORT/generate of sglang or posttrain.rollout.teacher")
    mtp_loss_weight: float = _option(0.0, "above 0: multi-token-prediction layers learn, too")

    async_rollout: bool = _option(False, "sample the next rollout while this step trains, one update behind")
    true_on_policy: bool = _option(False, "sample with the arithmetic of training, to the last bit")
    fp8_rollout: bool = _option(False, "the rollout's weights are rounded to float8_e4m3")
    routing_replay: bool = _option(False, "training sends each token to the experts that the rollout chose")
    save_rollout: Path | None = _option(None, "write every rollout into this directory")
    load_rollout: Path | None = _option(None, "train on the rollouts of that directory instead of sampling")

    save: Path | None = _option(None, "write checkpoints into this directory")
    save_interval: int = _option(1, "steps between two checkpoints", at_least=1)
    async_save: bool = _option(False, "write them while training goes on")
    load: Path | None = _option(
        None, "go on from this checkpoint, or from the newest in this directory if it holds any"
    )
    optimizer_on_cpu: bool = _option(False, "keep the optimizer's state in host memory, except during a step")

    # Function paths, package.module.function: see posttrain.hooks.
    rollout_function_path: str = _path("", "posttrain.rollout.function.generate_rollout")
    eval_function_path: str | None = _path("evaluates after the last step")
    custom_generate_function_path: str | None = _path("")
    custom_rm_path: str = _path("", "posttrain.hooks.rule_based_reward")
    group_rm: bool = _option(False, "custom-rm-path takes a whole group and returns a list")
    dynamic_sampling_filter_path: str | None = _path("")
    buffer_filter_path: str = _path("", "posttrain.hooks.pop_first")
    data_source_path: str = _path("", "posttrain.task.data_source.DataSource")
    rollout_sample_filter_path: str | None = _path("")
    rollout_all_samples_process_path: str | None = _path("")
    rollout_data_postprocess_path: str | None = _path("")
    custom_loss_function_path: str | None = _path("without it, the clipped surrogate of PPO")
    custom_tis_function_path: str | None = _path("")
    custom_pg_loss_reducer_function_path: str | None = _path("")
    custom_reward_post_process_path: str | None = _path("without it, normalised within their group")
    custom_convert_samples_to_train_data_path: str | None = _path("")
    custom_rollout_log_function_path: str | None = _path("")
    custom_eval_rollout_log_function_path: str | None = _path("")
    custom_megatron_init_path: str | None = _path("")
    custom_megatron_before_log_prob_hook_path: str | None = _path("")
    custom_megatron_before_train_step_hook_path: str | None = _path("")


_REQUIRED = ("model_path", "data_path", "metrics_path")


def parse_args(argv: Sequence[str] | None = None) -> Config:
    """Read the command line; argparse exits with 2 and a message when it is wrong."""
    parser = argparse.ArgumentParser(
        description="Train a policy by reinforcement learning. Start it with torchrun."
    )
    for field in dataclasses.fields(Config):
        _add(parser, field)
    config = Config(**vars(parser.parse_args(argv)))
    for path in (config.model_path, config.data_path, config.metrics_path.parent):
        if not path.exists():
            parser.error(f"{path} does not exist")
    if (config.advantage_estimator == "opd") != bool(config.teacher_url):
        parser.error("--advantage-estimator opd and --teacher-url go together")
    if config.eval_function_path and config.load_rollout:
        parser.error("--eval-function-path samples: it does not go with --load-rollout")
    return config


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    flag, about = "--" + field.name.replace("_", "-"), field.metadata
    kind = str(field.type).partition(" | ")[0]
    if kind == "bool":
        parser.add_argument(flag, action="store_true", help=about["help"])
        return
    kinds = {"int": _integer(about.get("at_least")), "float": float, "Path": Path, "str": str}
    parser.add_argument(
        flag,
        type=kinds[kind],
        default=field.default,
        required=field.name in _REQUIRED,
        choices=about.get("choices") or None,
        help=about["help"] or None,
        metavar="PKG.MODULE.FUNCTION" if about.get("hook") else None,
    )


def _integer(at_least: int | None) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if at_least is not None and value < at_least:
            raise argparse.ArgumentTypeError(f"{value} is less than {at_least}")
        return value

    return number
