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
    # Random weights of the usual 0.02 would give every token the same probability.
    "initializer_range": 0.1,
}


@dataclass(frozen=True)
class Family:
    model_type: str
    """transformers' name of the architecture."""
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def config(self, **tokens: Any) -> PretrainedConfig:
        """``tokens`` are the size of the vocabulary and the numbers of special tokens."""
        from transformers import AutoConfig

        return AutoConfig.for_model(self.model_type, **{**_TRUNK, **self.sizes, **tokens})


FAMILIES = {
    "qwen2.5": Family(
        "qwen2",
        {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True},
    ),
    "qwen3": Family("qwen3", {"num_hidden_layers": 4, "head_dim": 16, "tie_word_embeddings": True}),
}
