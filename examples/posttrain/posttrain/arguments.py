"""The command line of ``train.py`` and the Config that it fills."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class BadArguments(ValueError):
    """The command line asks for what cannot be done; the text is for whoever wrote it."""


@dataclass(frozen=True)
class Config:
    """One training run. Batch sizes count over all ranks."""

    model_path: Path
    """A transformers checkpoint directory with ``tokenizer.json``."""
    data_path: Path
    """JSON lines with ``question`` and ``answer``, as gsm8k."""
    metrics_path: Path
    """JSON lines that rank 0 writes, one a step."""
    backend: str = "fsdp"
    num_steps: int = 1
    prompts_per_step: int = 32
    samples_per_prompt: int = 8
    """Samples of one prompt: the group over which advantages are normalised."""
    max_new_tokens: int = 3
    temperature: float = 1.0
    learning_rate: float = 2e-3
    clip_low: float = 0.2
    clip_high: float = 0.28
    """The probability ratio is clipped to [1 - clip_low, 1 + clip_high]."""
    max_grad_norm: float = 1.0
    async_rollout: bool = False
    """Generate the next step's rollout while this step trains, with weights that are one update older."""
    seed: int = 0
    # Function paths, package.module.function: see posttrain.hooks.
    rollout_function_path: str = "posttrain.rollout_function.generate_rollout"
    custom_generate_function_path: str | None = None
    custom_rm_path: str = "posttrain.hooks.rule_based_reward"
    dynamic_sampling_filter_path: str | None = None
    custom_reward_post_process_path: str | None = None
    """Without it, rewards are normalised within their group."""
    rollout_data_postprocess_path: str | None = None
    custom_loss_function_path: str | None = None
    """Without it, the clipped surrogate of PPO."""


HOOKS = (
    "rollout_function_path",
    "custom_generate_function_path",
    "custom_rm_path",
    "dynamic_sampling_filter_path",
    "custom_reward_post_process_path",
    "rollout_data_postprocess_path",
    "custom_loss_function_path",
)


def parse_args(argv: Sequence[str] | None = None) -> Config:
    """Read the command line; argparse exits with 2 and a message when it is wrong."""
    parser = argparse.ArgumentParser(description="Train a policy with GRPO. Start it with torchrun.")
    parser.add_argument("--model-path", type=Path, required=True)
    parser.add_argument("--data-path", type=Path, required=True)
    parser.add_argument("--metrics-path", type=Path, required=True)
    parser.add_argument("--backend", default=Config.backend)
    for name in ("num_steps", "prompts_per_step", "samples_per_prompt", "max_new_tokens"):
        parser.add_argument(_flag(name), type=_positive, default=getattr(Config, name))
    parser.add_argument("--seed", type=int, default=Config.seed)
    for name in ("temperature", "learning_rate", "clip_low", "clip_high", "max_grad_norm"):
        parser.add_argument(_flag(name), type=float, default=getattr(Config, name))
    parser.add_argument("--async-rollout", action="store_true")
    for name in HOOKS:
        parser.add_argument(_flag(name), default=getattr(Config, name), metavar="PKG.MODULE.FUNCTION")
    config = Config(**vars(parser.parse_args(argv)))
    for path in (config.model_path, config.data_path, config.metrics_path.parent):
        if not path.exists():
            parser.error(f"{path} does not exist")
    return config


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
