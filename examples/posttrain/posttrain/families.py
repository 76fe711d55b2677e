"""The families of models, each as a tiny configuration of the real architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Heads and groups divide among 4 tensor-parallel ranks, layers among pipeline ranks.
_TRUNK = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    # transformers never trains the embedding of a padding token, Megatron does.
    "pad_token_id": None,
    # Random weights of the usual 0.02 would give every token the same probability.
    "initializer_range": 0.1,
}
_EXPERTS = {"moe_intermediate_size": 32, "num_experts_per_tok": 2, "norm_topk_prob": True}
_IMAGE_TOKENS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


@dataclass(frozen=True)
class Family:
    model_type: str
    """transformers' name of the architecture."""
    sizes: Mapping[str, Any] = field(default_factory=dict)

    vision: Mapping[str, Any] | None = None
    """Of what makes images into embeddings."""

    def config(self, *, vocab_size: int, **tokens: int | None) -> PretrainedConfig:
        """``tokens`` are the numbers of special tokens; those of images come after the vocabulary."""
        from transformers import AutoConfig

        if self.model_type == "mimo":
            import posttrain.mimo  # noqa: F401
        sizes = {**_TRUNK, **self.sizes, **tokens}
        if self.vision is None:
            return AutoConfig.for_model(self.model_type, vocab_size=vocab_size, **sizes)
        images = {name: vocab_size + number for number, name in enumerate(_IMAGE_TOKENS)}
        return AutoConfig.for_model(
            self.model_type,
            text_config={**sizes, "vocab_size": vocab_size + len(images)},
            vision_config={"out_hidden_size": sizes["hidden_size"], **self.vision},
            tie_word_embeddings=sizes["tie_word_embeddings"],
            **images,
            **tokens,
        )


FAMILIES = {
    "qwen2.5": Family(
        "qwen2",
        {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True},
    ),
    "qwen3": Family("qwen3", {"num_hidden_layers": 4, "head_dim": 16, "tie_word_embeddings": True}),
    "glm4": Family("glm4", {"num_hidden_layers": 2, "head_dim": 16}),
    "qwen3-moe": Family("qwen3_moe", {"num_hidden_layers": 2, "head_dim": 16, "num_experts": 8, **_EXPERTS}),
    "moonlight": Family(
        "deepseek_v3",
        {
            "num_hidden_layers": 2,
            "num_key_value_heads": 8,
            "first_k_dense_replace": 1,
            "n_routed_experts": 8,
            "n_shared_experts": 2,
            "n_group": 1,
            "topk_group": 1,
            "routed_scaling_factor": 2.446,
            "q_lora_rank": None,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 12,
            **_EXPERTS,
        },
    ),
    "mimo": Family("mimo", {"num_hidden_layers": 2, "num_nextn_predict_layers": 1}),
    "qwen2.5-vl": Family(
        "qwen2_5_vl",
        {
            "num_hidden_layers": 2,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 1, 1]},
        },
        vision={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.1,
        },
    ),
}
