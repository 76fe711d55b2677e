"""What a transformers configuration says of the architecture, in Megatron's words."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.transformer.enums import AttnBackend
from transformers import PretrainedConfig

from posttrain.arguments import BadArguments


def architecture(hf_config: PretrainedConfig) -> dict[str, Any]:
    """Options of TransformerConfig, or with ``kv_lora_rank`` among them of MLATransformerConfig.

    Of a model with images, this is the language model alone.

    :raises BadArguments: the family, or one of its options, is not supported.
    """
    text = hf_config.get_text_config()
    family = _FAMILIES.get(text.model_type)
    if family is None:
        raise BadArguments(f"megatron knows no model_type {text.model_type!r}; it knows: {', '.join(_FAMILIES)}")
    return {**_trunk(text), **family(text)}


def has_sandwich_norms(hf_config: PretrainedConfig) -> bool:
    """Whether what attention and MLP give is normalised before it is added; TransformerConfig cannot say so."""
    return hf_config.model_type == "glm4"


def _require(text: PretrainedConfig, option: str, expected: Any) -> None:
    value = getattr(text, option)
    if value != expected:
        raise BadArguments(
            f"megatron: {option} is {value!r}, and only {expected!r} is supported for {text.model_type}"
        )


def _trunk(text: PretrainedConfig) -> dict[str, Any]:
    _require(text, "hidden_act", "silu")
    heads = text.num_attention_heads
    return {
        "num_layers": text.num_hidden_layers,
        "hidden_size": text.hidden_size,
        "ffn_hidden_size": text.intermediate_size,
        "num_attention_heads": heads,
        "num_query_groups": text.num_key_value_heads,
        "kv_channels": getattr(text, "head_dim", None) or text.hidden_size // heads,
        "normalization": "RMSNorm",
        "layernorm_epsilon": text.rms_norm_eps,
        "gated_linear_unit": True,
        "activation_func": torch.nn.functional.silu,
        "add_bias_linear": False,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "attention_backend": AttnBackend.local,
        "init_method_std": text.initializer_range,
    }


def _qwen2(text: PretrainedConfig) -> dict[str, Any]:
    _require(text, "use_sliding_window", False)
    return {"add_qkv_bias": True}


def _mimo(text: PretrainedConfig) -> dict[str, Any]:
    return {**_qwen2(text), "mtp_num_layers": text.num_nextn_predict_layers}


def _qwen3(text: PretrainedConfig) -> dict[str, Any]:
    _require(text, "use_sliding_window", False)
    return {"add_qkv_bias": text.attention_bias, "qk_layernorm": True}


def _qwen3_moe(text: PretrainedConfig) -> dict[str, Any]:
    layers = range(text.num_hidden_layers)
    return {
        **_qwen3(text),
        "num_moe_experts": text.num_experts,
        "moe_ffn_hidden_size": text.moe_intermediate_size,
        "moe_layer_freq": [
            int(layer not in text.mlp_only_layers and (layer + 1) % text.decoder_sparse_step == 0)
            for layer in layers
        ],
        "moe_router_topk": text.num_experts_per_tok,
        # A softmax over the chosen experts alone is the one over all experts, renormalised.
        "moe_router_pre_softmax": not text.norm_topk_prob,
    }


def _glm4(text: PretrainedConfig) -> dict[str, Any]:
    return {"add_qkv_bias": text.attention_bias, "rotary_interleaved": True}


def _deepseek_v3(text: PretrainedConfig) -> dict[str, Any]:
    for option, expected in {
        "q_lora_rank": None,
        "attention_bias": False,
        "rope_interleave": True,
        "n_group": 1,
        "norm_topk_prob": True,
    }.items():
        _require(text, option, expected)
    return {
        "kv_channels": text.qk_head_dim,
        "q_lora_rank": None,
        "kv_lora_rank": text.kv_lora_rank,
        "qk_head_dim": text.qk_nope_head_dim,
        "qk_pos_emb_head_dim": text.qk_rope_head_dim,
        "v_head_dim": text.v_head_dim,
        "qk_layernorm": True,
        "rope_type": "rope",
        "rotary_base": text.rope_parameters["rope_theta"],
        "rotary_scaling_factor": 1.0,
        "num_moe_experts": text.n_routed_experts,
        "moe_ffn_hidden_size": text.moe_intermediate_size,
        "moe_shared_expert_intermediate_size": text.moe_intermediate_size * text.n_shared_experts,
        "moe_layer_freq": [int(layer >= text.first_k_dense_replace) for layer in range(text.num_hidden_layers)],
        "moe_router_topk": text.num_experts_per_tok,
        "moe_router_score_function": "sigmoid",
        "moe_router_topk_scaling_factor": text.routed_scaling_factor,
        "moe_router_dtype": "fp32",
        "moe_router_enable_expert_bias": True,
        # The bias is pre-training's means of balance; here it stays as it is.
        "moe_router_bias_update_rate": 0.0,
    }


_FAMILIES = {
    "qwen2": _qwen2,
    "qwen2_5_vl_text": _qwen2,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "glm4": _glm4,
    "deepseek_v3": _deepseek_v3,
    "mimo": _mimo,
}
