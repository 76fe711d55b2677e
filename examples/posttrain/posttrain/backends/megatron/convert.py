"""Weights between transformers' layout and Megatron's: whole tensors, by the names of each side's model.

The transformers side has the names of ``model.named_parameters()`` and of its buffers; a checkpoint's file may hold
others, which transformers joins when it loads. The Megatron side has the names of ``GPTModel``, its layers and
experts numbered over all ranks. Both directions only move numbers: the round trip is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PretrainedConfig

Move = Callable[[list[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Pair:
    """Tensors that hold the same numbers on both sides."""

    transformers: list[str]
    megatron: list[str]
    to_megatron: Move
    to_transformers: Move


def to_megatron(state: Mapping[str, Tensor], hf_config: PretrainedConfig) -> dict[str, Tensor]:
    """
    :raises ValueError: a tensor is missing, or is none of this configuration's.
    """
    return _convert(state, ((pair.transformers, pair.megatron, pair.to_megatron) for pair in pairs(hf_config)))


def to_transformers(state: Mapping[str, Tensor], hf_config: PretrainedConfig) -> dict[str, Tensor]:
    """
    :raises ValueError: a tensor is missing, or is none of this configuration's.
    """
    return _convert(state, ((pair.megatron, pair.transformers, pair.to_transformers) for pair in pairs(hf_config)))


def _convert(state: Mapping[str, Tensor], moves: Iterator[tuple[list[str], list[str], Move]]) -> dict[str, Tensor]:
    rest, result = dict(state), {}
    for sources, targets, move in moves:
        missing = [name for name in sources if name not in rest]
        if missing:
            raise ValueError(f"the weights lack {missing[0]!r}, which the configuration asks for")
        result.update(zip(targets, move([rest.pop(name) for name in sources]), strict=True))
    if rest:
        raise ValueError(f"the configuration has no place for the weight {next(iter(rest))!r}")
    return result


def pairs(hf_config: PretrainedConfig) -> Iterator[Pair]:
    """All tensors of a model."""
    yield _same("model.embed_tokens.weight", "embedding.word_embeddings.weight")
    for number in range(hf_config.num_hidden_layers):
        yield from _layer(hf_config, f"model.layers.{number}.", f"decoder.layers.{number}.")
    yield _same("model.norm.weight", "decoder.final_layernorm.weight")
    if not hf_config.tie_word_embeddings:
        yield _same("lm_head.weight", "output_layer.weight")


def _layer(hf_config: PretrainedConfig, theirs: str, ours: str) -> Iterator[Pair]:
    yield _same(f"{theirs}input_layernorm.weight", f"{ours}input_layernorm.weight")
    yield from _attention(hf_config, f"{theirs}self_attn.", f"{ours}self_attention.")
    yield _same(f"{theirs}post_attention_layernorm.weight", f"{ours}pre_mlp_layernorm.weight")
    yield from _mlp(f"{theirs}mlp.", f"{ours}mlp.")


def _attention(hf_config: PretrainedConfig, theirs: str, ours: str) -> Iterator[Pair]:
    has_bias = hf_config.model_type == "qwen2" or hf_config.attention_bias
    for kind in ("weight", "bias") if has_bias else ("weight",):
        yield _qkv(hf_config, [f"{theirs}{name}_proj.{kind}" for name in "qkv"], f"{ours}linear_qkv.{kind}")
    yield _same(f"{theirs}o_proj.weight", f"{ours}linear_proj.weight")
    if hf_config.model_type == "qwen3":
        yield _same(f"{theirs}q_norm.weight", f"{ours}q_layernorm.weight")
        yield _same(f"{theirs}k_norm.weight", f"{ours}k_layernorm.weight")


def _mlp(theirs: str, ours: str) -> Iterator[Pair]:
    yield Pair(
        [f"{theirs}gate_proj.weight", f"{theirs}up_proj.weight"],
        [f"{ours}linear_fc1.weight"],
        lambda tensors: [torch.cat(tensors)],
        lambda tensors: list(tensors[0].chunk(2)),
    )
    yield _same(f"{theirs}down_proj.weight", f"{ours}linear_fc2.weight")


def _same(theirs: str, ours: str) -> Pair:
    return Pair([theirs], [ours], lambda tensors: tensors, lambda tensors: tensors)


def _qkv(hf_config: PretrainedConfig, theirs: list[str], ours: str) -> Pair:
    """Megatron has the heads group by group: a group's queries, then its key, then its value."""
    groups = hf_config.num_key_value_heads
    queries = hf_config.num_attention_heads // groups

    def join(tensors: list[Tensor]) -> list[Tensor]:
        q, k, v = (tensor.unflatten(0, (groups, -1)) for tensor in tensors)
        return [torch.cat([q, k, v], dim=1).flatten(0, 1)]

    def part(tensors: list[Tensor]) -> list[Tensor]:
        by_head = tensors[0].unflatten(0, (groups, queries + 2, -1))
        return [heads.flatten(0, 2) for heads in by_head.split([queries, 1, 1], dim=1)]

    return Pair(theirs, [ours], join, part)
