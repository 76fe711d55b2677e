"""Attention for Megatron's layers, in the arithmetic of transformers' eager attention.

Megatron's own ``DotProductAttention`` knows neither context parallelism nor values narrower than keys.
"""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from megatron.core.transformer import MegatronModule, TransformerConfig
from torch import Tensor


def zigzag_positions(length: int, rank: int, size: int, device: torch.device | None = None) -> Tensor:
    """Which positions of a sequence of ``length`` are rank's, [length / size].

    Megatron cuts a sequence into 2·size chunks and gives each rank one from each end, so that causal attention
    costs every rank the same.

    :raises ValueError: ``length`` does not divide into so many chunks.
    """
    if size == 1:
        return torch.arange(length, device=device)
    if length % (2 * size):
        raise ValueError(f"a sequence of {length} tokens does not divide into {2 * size} chunks: pad it")
    chunks = torch.arange(length, device=device).view(2 * size, -1)
    return torch.cat([chunks[rank], chunks[2 * size - 1 - rank]])


class CoreAttention(MegatronModule):
    """Causal attention with softmax in float32. There is no padding mask: sequences are padded on the right."""

    def __init__(
        self,
        config: TransformerConfig,
        layer_number: int,
        attn_mask_type: Any,
        attention_type: str,
        softmax_scale: float | None = None,
        k_channels: int | None = None,
        v_channels: int | None = None,
        cp_comm_type: str | None = None,
        *,
        pg_collection: Any,
    ):
        super().__init__(config)
        self._scale = softmax_scale or (k_channels or config.kv_channels) ** -0.5
        self._cp = pg_collection.cp

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        attn_mask_type: Any = None,
        attention_bias: None = None,
        packed_seq_params: None = None,
    ) -> Tensor:
        """[s, B, heads, k], [s, B, groups, k], [s, B, groups, v] → [s, B, heads·v]; s is this rank's part."""
        size, device = self._cp.size(), query.device
        length = query.shape[0] * size
        places = [zigzag_positions(length, rank, size, device) for rank in range(size)]
        if size > 1:
            # Backward sums each rank's gradient of a key into the key's owner.
            key = gather_from_sequence_parallel_region(key, group=self._cp)
            value = gather_from_sequence_parallel_region(value, group=self._cp)
        hidden = places[self._cp.rank()].unsqueeze(1) < torch.cat(places)
        context = _attend(query, key, value, hidden, self._scale)
        return context.permute(2, 0, 1, 3).flatten(2)


def _attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor, scale: float) -> Tensor:
    """``hidden`` is [query places, key places], true where a query must not look. → [B, heads, s, v]."""
    query, key, value = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    scores = (query @ key.transpose(2, 3) * scale).masked_fill(hidden, torch.finfo(query.dtype).min)
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype) @ value
