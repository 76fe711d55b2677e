"""NVIDIA Megatron-Core: tensor, pipeline, context, expert and data parallelism."""

from __future__ import annotations

import warnings

import torch
from transformers import AutoConfig

from posttrain.arguments import Config
from posttrain.backends.megatron import cpu
from posttrain.training.objective import Objective

# Megatron says once a module that it misses Transformer Engine and Apex; nothing here needs them.
warnings.filterwarnings("ignore", message=".*(Transformer Engine|Apex).*")


def init(config: Config, device: torch.device, objective: Objective):  # type: ignore[no-untyped-def]
    """Build this rank's part of the model in the layout of ``config``, and load the checkpoint into it."""
    cpu.install()
    from posttrain.backends.megatron.backend import MegatronBackend
    from posttrain.backends.megatron.layout import start

    hf_config = AutoConfig.from_pretrained(config.model_path)
    return MegatronBackend(config, hf_config, start(config, hf_config), device, objective)
