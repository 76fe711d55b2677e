"""Builds each family in transformers and in Megatron-Core, and writes what came of it as JSON.

A program of its own: the shims for a host with no GPU stay in place for the rest of a process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from posttrain.backends.megatron import cpu
from posttrain.families import FAMILIES
from posttrain.model import model_class
from torch import Tensor
from transformers import PreTrainedModel
from transformers.models.qwen3.modeling_qwen3 import eager_attention_forward

cpu.install()

from megatron.core import parallel_state  # noqa: E402
from posttrain.backends.megatron import convert  # noqa: E402
from posttrain.backends.megatron.attention import CoreAttention  # noqa: E402
from posttrain.backends.megatron.build import build_model, transformer_config  # noqa: E402
from posttrain.backends.megatron.layers import RMSNorm  # noqa: E402


def whole_state(model: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and the buffers that a checkpoint holds."""
    saved = model.state_dict()
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach() for name, tensor in tensors.items() if name in saved}


def random_model(family: str, **sizes: int) -> PreTrainedModel:
    """With no weight left at a one or a zero of its initialisation, where mistakes would not show."""
    torch.manual_seed(0)
    config = FAMILIES[family].config(vocab_size=61, eos_token_id=1, bos_token_id=None, **sizes)
    model = model_class(config).from_config(config, attn_implementation="eager").eval()
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
        # What makes images into embeddings has no part in Megatron's model; its weights pass through.
        "invented": [name for name in unexpected if not name.startswith("model.visual.")],
        "unreturned": sorted(state.keys() ^ returned.keys()),
        "changed": [name for name in returned if not torch.equal(state[name], returned[name])],
        "logit_gap": (expected - logits).abs().max().item(),
        "logit_spread": expected.std().item(),
        "values": list(critic(tokens, positions, None).shape),
    }


def gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def mtp_loss(reference: PreTrainedModel, tokens: Tensor, token_weights: Tensor) -> Tensor:
    """Of guessing each token from two places before it, by a second layer from three; the mean of both losses.

    DeepSeek-V3 (2024), equations 21 to 25. Gradients reach the MTP layers alone.
    """
    positions = torch.arange(tokens.shape[1]).expand_as(tokens)
    with torch.no_grad():
        hidden = reference.model(tokens).last_hidden_state
        rotary = reference.model.rotary_emb(hidden, positions)
    causal = (
        torch.full((tokens.shape[1],) * 2, torch.finfo(torch.float32).min).triu(1).expand(len(tokens), 1, -1, -1)
    )
    losses = []
    for depth, layer in enumerate(reference.model.mtp_layers, 1):
        ahead = reference.model.embed_tokens(tokens.roll(-depth, dims=1)).detach()
        hidden = layer(ahead, hidden, attention_mask=causal, position_embeddings=rotary)
        logits = torch.nn.functional.linear(hidden[:, : -depth - 1], reference.lm_head.weight.detach())
        targets = tokens[:, depth + 1 :]
        errors = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        losses.append((errors * token_weights[:, depth + 1 :]).sum())
    return torch.stack(losses).mean()


def probe_mtp(layers: int) -> dict[str, Any]:
    """What the loss of MiMo with so many MTP layers is, and what it trains."""
    reference = random_model("mimo", num_nextn_predict_layers=layers)
    model = build_model(reference.config, transformer_config(reference.config))
    model.load_state_dict(convert.to_megatron(whole_state(reference), reference.config), strict=False)
    tokens, token_weights = torch.randint(61, (2, 12)), torch.rand(2, 12)
    learned, losses = [], []
    for mtp_weights in (None, token_weights):
        model.zero_grad()
        logits = model(tokens, torch.arange(12).expand_as(tokens), None, mtp_weights=mtp_weights)
        logits.logsumexp(-1).sum().backward()
        learned.append({name: value.grad for name, value in model.named_parameters() if value.grad is not None})
        losses.append(model.mtp_loss)
    alone, both = learned
    return {
        "loss_without_weights": losses[0],
        "loss_gap": abs(losses[1].item() / mtp_loss(reference, tokens, token_weights).item() - 1),
        "untrained": sorted({name for name, _ in model.named_parameters()} - both.keys()),
        "trained_without_weights": [name for name in alone if name.startswith("mtp.")],
        "policy_moved": [name for name in alone if not torch.equal(alone[name], both[name])],
    }


@torch.no_grad()
def probe_bfloat16() -> dict[str, bool]:
    """Whether this package's modules give the numbers of transformers' to the last bit, in bfloat16."""
    reference = random_model("qwen3").bfloat16()
    config = transformer_config(reference.config, dtype=torch.bfloat16)
    theirs = reference.model.norm
    ours = RMSNorm(config, config.hidden_size, config.layernorm_epsilon)
    ours.load_state_dict(theirs.state_dict())
    hidden = (torch.randn(12, 2, config.hidden_size) * 3).bfloat16()
    layer = reference.model.layers[0].self_attn
    heads, groups, size = config.num_attention_heads, config.num_query_groups, config.kv_channels
    query, key, value = (torch.randn(12, 2, some, size).bfloat16() for some in (heads, groups, groups))
    core = CoreAttention(
        config, 1, None, "self", pg_collection=SimpleNamespace(cp=parallel_state.get_context_parallel_group())
    )
    causal = (
        torch.full((12, 12), torch.finfo(torch.bfloat16).min, dtype=torch.bfloat16).triu(1).expand(2, 1, -1, -1)
    )
    parts = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
    expected, _ = eager_attention_forward(layer, *parts, causal, scaling=layer.scaling)
    return {
        "norm": torch.equal(ours(hidden), theirs(hidden)),
        "attention": torch.equal(core(query, key, value, None).transpose(0, 1), expected.flatten(2)),
    }


if __name__ == "__main__":
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    parallel_state.initialize_model_parallel()
    probes = {family: probe(family) for family in FAMILIES}
    Path(sys.argv[1]).write_text(
        json.dumps({**probes, "mtp": probe_mtp(1), "mtp of two layers": probe_mtp(2), "bfloat16": probe_bfloat16()})
    )
