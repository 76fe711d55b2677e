"""Builds Megatron's GPTModel for a transformers configuration."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.enums import AttnBackend
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset
from transformers import PretrainedConfig

from posttrain.arguments import BadArguments
from posttrain.backends.megatron.attention import CoreAttention
from posttrain.backends.megatron.layers import RMSNorm, ValueHead


def transformer_config(
    hf_config: PretrainedConfig,
    *,
    tp: int = 1,
    pp: int = 1,
    cp: int = 1,
    ep: int = 1,
    dtype: torch.dtype = torch.float32,
) -> TransformerConfig:
    """``hf_config`` in Megatron's words, for a layout of tensor × pipeline × context × expert parallel ranks.

    With tp > 1, sequence parallelism is on: the length of a sequence must be a multiple of tp (times 2·cp).

    :raises BadArguments: the family, or one of its options, is not supported.
    """
    family = _FAMILIES.get(hf_config.model_type)
    if family is None:
        raise BadArguments(
            f"megatron knows no model_type {hf_config.model_type!r}; it knows: {', '.join(_FAMILIES)}"
        )
    return TransformerConfig(
        **_common(hf_config),
        **family(hf_config),
        tensor_model_parallel_size=tp,
        pipeline_model_parallel_size=pp,
        context_parallel_size=cp,
        expert_model_parallel_size=ep,
        expert_tensor_parallel_size=1,
        sequence_parallel=tp > 1,
        params_dtype=dtype,
        pipeline_dtype=dtype,
        bf16=dtype == torch.bfloat16,
    )


def _common(hf_config: PretrainedConfig) -> dict[str, Any]:
    if hf_config.hidden_act != "silu":
        raise BadArguments(f"megatron: hidden_act is {hf_config.hidden_act!r}, and only 'silu' is supported")
    if getattr(hf_config, "use_sliding_window", False):
        raise BadArguments("megatron: use_sliding_window is not supported")
    heads = hf_config.num_attention_heads
    return {
        "num_layers": hf_config.num_hidden_layers,
        "hidden_size": hf_config.hidden_size,
        "ffn_hidden_size": hf_config.intermediate_size,
        "num_attention_heads": heads,
        "num_query_groups": hf_config.num_key_value_heads,
        "kv_channels": getattr(hf_config, "head_dim", None) or hf_config.hidden_size // heads,
        "normalization": "RMSNorm",
        "layernorm_epsilon": hf_config.rms_norm_eps,
        "gated_linear_unit": True,
        "activation_func": torch.nn.functional.silu,
        "add_bias_linear": False,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "attention_backend": AttnBackend.local,
        "calculate_per_token_loss": True,
        # The weights come from a checkpoint.
        "use_cpu_initialization": True,
        "init_method_std": hf_config.initializer_range,
    }


def _qwen2(_hf_config: PretrainedConfig) -> dict[str, Any]:
    return {"add_qkv_bias": True}


def _qwen3(hf_config: PretrainedConfig) -> dict[str, Any]:
    return {"add_qkv_bias": hf_config.attention_bias, "qk_layernorm": True}


_FAMILIES = {"qwen2": _qwen2, "qwen3": _qwen3}


def padded_vocab_size(hf_config: PretrainedConfig, tp: int) -> int:
    """The rows of the embedding and of the output layer: the vocabulary, up to a multiple of ``tp``."""
    return -(-hf_config.vocab_size // tp) * tp


def build_model(
    hf_config: PretrainedConfig,
    config: TransformerConfig,
    *,
    pre_process: bool = True,
    post_process: bool = True,
    critic: bool = False,
) -> GPTModel:
    """This pipeline rank's part of the model, its weights not yet loaded. It returns logits, [B, s, vocabulary].

    ``pre_process`` gives it the embedding, ``post_process`` the output layer. A critic returns values, [B, s, 1];
    its output layer is no family's, and shares nothing with the embedding.
    """
    rope = hf_config.rope_parameters
    if rope["rope_type"] != "default":
        raise BadArguments(f"megatron: rope_type is {rope['rope_type']!r}, and only 'default' is supported")
    model = GPTModel(
        config,
        _block_spec(config),
        vocab_size=padded_vocab_size(hf_config, config.tensor_model_parallel_size),
        max_sequence_length=hf_config.max_position_embeddings,
        pre_process=pre_process,
        post_process=post_process,
        parallel_output=False,
        share_embeddings_and_output_weights=hf_config.tie_word_embeddings and not critic,
        position_embedding_type="rope",
        rotary_base=rope["rope_theta"],
        rotary_percent=rope.get("partial_rotary_factor", 1.0),
    )
    if critic and post_process:
        model.output_layer = ValueHead(config)
    return model


def _block_spec(config: TransformerConfig) -> TransformerBlockSubmodules:
    """The layers of this pipeline rank."""
    first = get_transformer_layer_offset(config)
    layers = range(first, first + get_num_layers_to_build(config))
    return TransformerBlockSubmodules(layer_specs=[_layer_spec(config) for _ in layers], layer_norm=RMSNorm)


def _layer_spec(config: TransformerConfig) -> ModuleSpec:
    """Megatron's local layer, with the norms and the attention of this package."""
    spec = get_gpt_layer_local_spec(qk_layernorm=config.qk_layernorm, normalization="RMSNorm")
    layer = spec.submodules
    layer.input_layernorm = layer.pre_mlp_layernorm = RMSNorm
    attention = layer.self_attention.submodules
    attention.core_attention = CoreAttention
    if config.qk_layernorm:
        attention.q_layernorm = attention.k_layernorm = RMSNorm
    return spec
