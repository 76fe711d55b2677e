"""Loads a policy, in the same way for training and for rollout."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging


def load_model(model_path: Path, device: torch.device) -> PreTrainedModel:
    """The checkpoint at ``model_path`` in float32, by transformers' own class for it.

    Attention is eager: the same arithmetic for cached and whole sequences, deterministic on every device.
    """
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32, attn_implementation="eager")
    return model.to(device)
