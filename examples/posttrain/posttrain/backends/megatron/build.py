"""Builds Megatron's GPTModel for a transformers configuration."""

from __future__ import annotations

import functools
from typing import Any, Literal

import torch
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.tensor_parallel import ColumnParallelLinear
from megatron.core.transformer import MLATransformerConfig, TransformerConfig
from megatron.core.transformer.multi_token_prediction import (
    MultiTokenPredictionBlockSubmodules,
    MultiTokenPredictionLayer,
    MultiTokenPredictionLayerSubmodules,
)
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset
from torch import Tensor
from transformers import PretrainedConfig

from posttrain.arguments import BadArguments
from posttrain.backends.megatron.attention import CoreAttention
from posttrain.backends.megatron.config import architecture, has_sandwich_norms
from posttrain.backends.megatron.layers import LatentAttention, NormThenAdd, RMSNorm, ValueHead
from posttrain.backends.megatron.mtp import INNER_LAYER, MtpModel


def transformer_config(
    hf_config: PretrainedConfig,
    *,
    tp: int = 1,
    pp: int = 1,
    cp: int = 1,
    ep: int = 1,
    dtype: torch.dtype = torch.float32,
    dispatcher: Literal["alltoall", "allgather"] = "alltoall",
    routing_replay: bool = False,
) -> TransformerConfig:
    """For a layout of tensor × pipeline × context ranks, the experts over ``ep`` of them.

    With tp > 1, sequence parallelism is on: a context-parallel rank's part of a sequence must be a multiple of tp.
    ``dispatcher`` is how tokens travel to their experts. With ``routing_replay``, Megatron's ``RouterReplay`` can
    record and replay the experts chosen.

    :raises BadArguments: the family, or one of its options, is not supported.
    """
    options = {
        **architecture(hf_config),
        "tensor_model_parallel_size": tp,
        "pipeline_model_parallel_size": pp,
        "context_parallel_size": cp,
        "sequence_parallel": tp > 1,
        "params_dtype": dtype,
        "pipeline_dtype": dtype,
        "bf16": dtype == torch.bfloat16,
        "calculate_per_token_loss": True,
        "use_cpu_initialization": True,
    }
    if "num_moe_experts" in options:
        options |= {
            "expert_model_parallel_size": ep,
            "expert_tensor_parallel_size": 1,
            "moe_token_dispatcher_type": dispatcher,
            "moe_enable_routing_replay": routing_replay,
            "moe_router_load_balancing_type": "none",
        }
    return (MLATransformerConfig if "kv_lora_rank" in options else TransformerConfig)(**options)


def padded_vocab_size(hf_config: PretrainedConfig, tp: int) -> int:
    """The rows of the embedding and of the output layer: the vocabulary, up to a multiple of ``tp``."""
    return -(-hf_config.get_text_config().vocab_size // tp) * tp


def build_model(
    hf_config: PretrainedConfig,
    config: TransformerConfig,
    *,
    pre_process: bool = True,
    post_process: bool = True,
    critic: bool = False,
) -> GPTModel:
    """This pipeline rank's part of the model, its weights not yet loaded.

    ``pre_process`` gives it the embedding, ``post_process`` the output layer. It returns logits, [B, s,
    vocabulary]; a critic returns values, [B, s, 1]: its output layer is its own, and shares nothing with the
    embedding. s is this context-parallel rank's part of the sequence.

    :raises BadArguments: the positions are not encoded by plain rotary embeddings.
    """
    text = hf_config.get_text_config()
    rope = text.rope_parameters
    if rope["rope_type"] != "default":
        raise BadArguments(f"megatron: rope_type is {rope['rope_type']!r}, and only 'default' is supported")
    specs = _layer_specs(config, sandwich=has_sandwich_norms(hf_config))
    mtp = config.mtp_num_layers if post_process else None
    model = (MtpModel if config.mtp_num_layers else GPTModel)(
        config,
        TransformerBlockSubmodules(layer_specs=specs, layer_norm=RMSNorm),
        vocab_size=padded_vocab_size(hf_config, config.tensor_model_parallel_size),
        max_sequence_length=text.max_position_embeddings,
        pre_process=pre_process,
        post_process=post_process,
        parallel_output=False,
        share_embeddings_and_output_weights=hf_config.tie_word_embeddings and not critic,
        position_embedding_type="rope",
        rotary_base=rope["rope_theta"],
        rotary_percent=rope.get("partial_rotary_factor", 1.0),
        mtp_block_spec=_mtp_spec(specs[-1], mtp) if mtp else None,
    )
    if critic and post_process:
        model.output_layer = ValueHead(config)
    elif post_process:
        model.output_layer.register_forward_hook(functools.partial(_cut, text.vocab_size))
    for name, parameter in model.named_parameters():
        if ".local_experts." in name:
            # Megatron says so with expert parallelism alone. Experts are never tensor-parallel here: without it,
            # too, tensor-parallel ranks give one expert different tokens, and must add up its gradients.
            parameter.allreduce = False
    return model


def _cut(vocabulary: int, _layer: Any, _inputs: Any, output: tuple[Tensor, None]) -> tuple[Tensor, None]:
    """Tokens that only pad the vocabulary have no probability."""
    return output[0][..., :vocabulary], output[1]


def _layer_specs(config: TransformerConfig, *, sandwich: bool) -> list[ModuleSpec]:
    """The layers of this pipeline rank."""
    first = get_transformer_layer_offset(config)
    sparse = config.moe_layer_freq if config.num_moe_experts else [0] * config.num_layers
    return [
        _layer_spec(config, config.num_moe_experts if is_sparse else None, sandwich=sandwich)
        for is_sparse in sparse[first : first + get_num_layers_to_build(config)]
    ]


def _layer_spec(config: TransformerConfig, experts: int | None, *, sandwich: bool) -> ModuleSpec:
    """Megatron's local layer, with the norms and the attention of this package."""
    spec = get_gpt_layer_local_spec(
        num_experts=experts,
        qk_layernorm=config.qk_layernorm,
        multi_latent_attention=config.multi_latent_attention,
        normalization="RMSNorm",
    )
    layer = spec.submodules
    layer.input_layernorm = layer.pre_mlp_layernorm = RMSNorm
    attention = layer.self_attention.submodules
    attention.core_attention = CoreAttention
    if config.multi_latent_attention:
        layer.self_attention.module = LatentAttention
        attention.kv_layernorm = RMSNorm
    elif config.qk_layernorm:
        attention.q_layernorm = attention.k_layernorm = RMSNorm
    if sandwich:
        layer.self_attn_bda = layer.mlp_bda = ModuleSpec(NormThenAdd, params={"config": config})
    return spec


def _mtp_spec(layer: ModuleSpec, count: int) -> MultiTokenPredictionBlockSubmodules:
    """Layers that predict the tokens after the next one, all on the last pipeline rank."""
    submodules = MultiTokenPredictionLayerSubmodules(
        enorm=RMSNorm, hnorm=RMSNorm, eh_proj=ColumnParallelLinear, layer_norm=RMSNorm, **{INNER_LAYER: layer}
    )
    return MultiTokenPredictionBlockSubmodules(
        [ModuleSpec(MultiTokenPredictionLayer, submodules=submodules)] * count
    )
