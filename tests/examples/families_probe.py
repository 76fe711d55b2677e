"""Builds each family in transformers and in Megatron-Core, and writes what came of it as JSON.

A program of its own: the shims for a host with no GPU stay in place for the rest of a process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from posttrain.backends.megatron import cpu
from posttrain.families import FAMILIES
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

cpu.install()

from megatron.core import parallel_state  # noqa: E402
from posttrain.backends.megatron import convert  # noqa: E402
from posttrain.backends.megatron.build import build_model, transformer_config  # noqa: E402


def whole_state(model: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and the buffers that a checkpoint holds."""
    saved = model.state_dict()
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach() for name, tensor in tensors.items() if name in saved}


def random_model(family: str) -> PreTrainedModel:
    """With no weight left at a one or a zero of its initialisation, where mistakes would not show."""
    torch.manual_seed(0)
    config = FAMILIES[family].config(vocab_size=61, eos_token_id=1, pad_token_id=0, bos_token_id=None)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    for tensor in whole_state(model).values():
        tensor.add_(torch.randn_like(tensor) * 0.05)
    return model


@torch.no_grad()
def probe(family: str) -> dict[str, Any]:
    reference = random_model(family)
    state = whole_state(reference)
    converted = convert.to_megatron(state, reference.config)
    returned = convert.to_transformers(converted, reference.config)
    model = build_model(reference.config, transformer_config(reference.config))
    _, unexpected = model.load_state_dict(converted, strict=False)
    parameters = whole_state(model)
    tokens = torch.randint(61, (2, 12))
    positions = torch.arange(12).expand_as(tokens)
    expected, logits = reference(tokens).logits, model(tokens, positions, None)
    critic = build_model(reference.config, transformer_config(reference.config), critic=True)
    return {
        "uncovered": sorted(parameters.keys() - converted.keys()),
        "invented": unexpected,
        "unreturned": sorted(state.keys() ^ returned.keys()),
        "changed": [name for name in returned if not torch.equal(state[name], returned[name])],
        "logit_gap": (expected - logits).abs().max().item(),
        "logit_spread": expected.std().item(),
        "values": list(critic(tokens, positions, None).shape),
    }


if __name__ == "__main__":
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    parallel_state.initialize_model_parallel()
    Path(sys.argv[1]).write_text(json.dumps({family: probe(family) for family in FAMILIES}))
