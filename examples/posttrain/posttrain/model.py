"""Loads a policy, in the same way for training and for rollout."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

import posttrain.mimo  # noqa: F401  transformers then knows it
from posttrain.arguments import Config


def dtype_of(config: Config, device: torch.device) -> torch.dtype:
    """The type of the arithmetic; weights are kept in float32 beside it where an optimizer needs them."""
    chosen = config.dtype if config.dtype != "auto" else "bfloat16" if device.type == "cuda" else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[chosen]


def model_class(config: PretrainedConfig) -> type:
    """transformers' Auto class for a model of text, or of text and images."""
    return AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM


def load_model(model_path: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The checkpoint at ``model_path``, by transformers' own class for it.

    Attention is eager: the same arithmetic for cached and whole sequences, deterministic on every device.
    """
    logging.disable_progress_bar()
    auto = model_class(AutoConfig.from_pretrained(model_path))
    model = auto.from_pretrained(model_path, dtype=dtype, attn_implementation="eager")
    return model.to(device)


def experts_of(model: PretrainedConfig) -> int:
    """How many experts a layer has; 1 for a dense model."""
    return getattr(model, "num_local_experts", None) or getattr(model, "num_experts", None) or 1
