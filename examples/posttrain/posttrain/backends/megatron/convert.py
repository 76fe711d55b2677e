"""Weights between transformers' layout and Megatron's: whole tensors, by the names of each side's model.

The transformers side has the names of ``model.named_parameters()`` and of its buffers; a checkpoint's file may hold
others, which transformers joins when it loads. The Megatron side has the names of ``GPTModel``, its layers and
experts numbered over all ranks. Both directions only move numbers: the round trip is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from megatron.core.transformer import TransformerConfig
from torch import Tensor
from transformers import PretrainedConfig

from posttrain.backends.megatron.build import transformer_config
from posttrain.backends.megatron.config import has_sandwich_norms
from posttrain.backends.megatron.mtp import INNER_LAYER

_VISION = "model.visual."
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
    moves = [(pair.transformers, pair.megatron, pair.to_megatron) for pair in pairs(hf_config)]
    return _convert(state, moves)


def to_transformers(state: Mapping[str, Tensor], hf_config: PretrainedConfig) -> dict[str, Tensor]:
    """
    :raises ValueError: a tensor is missing, or is none of this configuration's.
    """
    moves = [(pair.megatron, pair.transformers, pair.to_transformers) for pair in pairs(hf_config)]
    return _convert(state, moves)


def _convert(state: Mapping[str, Tensor], moves: list[tuple[list[str], list[str], Move]]) -> dict[str, Tensor]:
    # What makes an image into embeddings has the same names on both sides.
    result = {name: tensor for name, tensor in state.items() if name.startswith(_VISION)}
    rest = {name: tensor for name, tensor in state.items() if name not in result}
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
    layers = _Layers(transformer_config(hf_config), sandwich=has_sandwich_norms(hf_config))
    text = "model.language_model." if hasattr(hf_config, "vision_config") else "model."
    yield same(f"{text}embed_tokens.weight", "embedding.word_embeddings.weight")
    for number in range(layers.config.num_layers):
        yield from layers.decoder(number, f"{text}layers.{number}.", f"decoder.layers.{number}.")
    yield same(f"{text}norm.weight", "decoder.final_layernorm.weight")
    for number in range(layers.config.mtp_num_layers or 0):
        yield from layers.mtp(f"{text}mtp_layers.{number}.", f"mtp.layers.{number}.")
    if not hf_config.tie_word_embeddings:
        yield same("lm_head.weight", "output_layer.weight")


class _Layers:
    """The pairs of one layer, for the prefixes of its names on both sides."""

    def __init__(self, config: TransformerConfig, *, sandwich: bool):
        self.config = config
        self._sandwich = sandwich

    def decoder(self, number: int, theirs: str, ours: str) -> Iterator[Pair]:
        yield same(f"{theirs}input_layernorm.weight", f"{ours}input_layernorm.weight")
        attention = self._latent_attention if self.config.multi_latent_attention else self._attention
        yield from attention(f"{theirs}self_attn.", f"{ours}self_attention.")
        yield same(f"{theirs}post_attention_layernorm.weight", f"{ours}pre_mlp_layernorm.weight")
        if self._sandwich:
            yield same(f"{theirs}post_self_attn_layernorm.weight", f"{ours}self_attn_bda.norm.weight")
            yield same(f"{theirs}post_mlp_layernorm.weight", f"{ours}mlp_bda.norm.weight")
        sparse = self.config.num_moe_experts and self.config.moe_layer_freq[number]
        yield from (self._experts if sparse else self._mlp)(f"{theirs}mlp.", f"{ours}mlp.")

    def mtp(self, theirs: str, ours: str) -> Iterator[Pair]:
        """MiMo's projection takes the hidden state, then the embedding; Megatron's the other way round."""
        yield Pair([f"{theirs}input_proj.weight"], [f"{ours}eh_proj.weight"], _swap_halves, _swap_halves)
        yield same(f"{theirs}token_layernorm.weight", f"{ours}enorm.weight")
        yield same(f"{theirs}hidden_layernorm.weight", f"{ours}hnorm.weight")
        yield same(f"{theirs}final_layernorm.weight", f"{ours}final_layernorm.weight")
        yield from self.decoder(0, theirs, f"{ours}{INNER_LAYER}.")

    def _attention(self, theirs: str, ours: str) -> Iterator[Pair]:
        for kind in ("weight", "bias") if self.config.add_qkv_bias else ("weight",):
            yield qkv(self.config, [f"{theirs}{name}_proj.{kind}" for name in "qkv"], f"{ours}linear_qkv.{kind}")
        yield same(f"{theirs}o_proj.weight", f"{ours}linear_proj.weight")
        if self.config.qk_layernorm:
            yield same(f"{theirs}q_norm.weight", f"{ours}q_layernorm.weight")
            yield same(f"{theirs}k_norm.weight", f"{ours}k_layernorm.weight")

    def _latent_attention(self, theirs: str, ours: str) -> Iterator[Pair]:
        yield same(f"{theirs}q_proj.weight", f"{ours}linear_q_proj.weight")
        yield same(f"{theirs}kv_a_proj_with_mqa.weight", f"{ours}linear_kv_down_proj.weight")
        yield same(f"{theirs}kv_a_layernorm.weight", f"{ours}kv_layernorm.weight")
        yield same(f"{theirs}kv_b_proj.weight", f"{ours}linear_kv_up_proj.weight")
        yield same(f"{theirs}o_proj.weight", f"{ours}linear_proj.weight")

    def _mlp(self, theirs: str, ours: str) -> Iterator[Pair]:
        if self._sandwich:  # GLM4 has gate and up in one, as Megatron has
            yield same(f"{theirs}gate_up_proj.weight", f"{ours}linear_fc1.weight")
        else:
            yield joined([f"{theirs}gate_proj.weight", f"{theirs}up_proj.weight"], f"{ours}linear_fc1.weight")
        yield same(f"{theirs}down_proj.weight", f"{ours}linear_fc2.weight")

    def _experts(self, theirs: str, ours: str) -> Iterator[Pair]:
        yield same(f"{theirs}gate.weight", f"{ours}router.weight")
        if self.config.moe_router_enable_expert_bias:
            yield same(f"{theirs}gate.e_score_correction_bias", f"{ours}router.expert_bias")
        for name, part in (("gate_up_proj", "linear_fc1"), ("down_proj", "linear_fc2")):
            experts = range(self.config.num_moe_experts)
            yield unstacked(
                f"{theirs}experts.{name}", [f"{ours}experts.local_experts.{n}.{part}.weight" for n in experts]
            )
        if self.config.moe_shared_expert_intermediate_size:
            yield from self._mlp(f"{theirs}shared_experts.", f"{ours}shared_experts.")


def same(theirs: str, ours: str) -> Pair:
    return Pair([theirs], [ours], list, list)


def joined(theirs: list[str], ours: str) -> Pair:
    """Equal parts, one after the other."""
    return Pair(
        theirs, [ours], lambda tensors: [torch.cat(tensors)], lambda tensors: list(tensors[0].chunk(len(theirs)))
    )


def unstacked(theirs: str, ours: list[str]) -> Pair:
    return Pair([theirs], ours, lambda tensors: list(tensors[0]), lambda tensors: [torch.stack(tensors)])


def qkv(config: TransformerConfig, theirs: list[str], ours: str) -> Pair:
    """Megatron has the heads group by group: a group's queries, then its key, then its value."""
    groups = config.num_query_groups
    queries = config.num_attention_heads // groups

    def join(tensors: list[Tensor]) -> list[Tensor]:
        return [torch.cat([tensor.unflatten(0, (groups, -1)) for tensor in tensors], dim=1).flatten(0, 1)]

    def part(tensors: list[Tensor]) -> list[Tensor]:
        heads = tensors[0].unflatten(0, (groups, queries + 2, -1))
        return [some.flatten(0, 2) for some in heads.split([queries, 1, 1], dim=1)]

    return Pair(theirs, [ours], join, part)


def _swap_halves(tensors: list[Tensor]) -> list[Tensor]:
    return [torch.cat(tensors[0].chunk(2, dim=1)[::-1], dim=1)]
