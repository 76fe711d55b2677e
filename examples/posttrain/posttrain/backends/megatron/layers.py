"""Modules that Megatron's local layers lack. Their arithmetic is that of transformers' modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from megatron.core.transformer import MLATransformerConfig, TransformerConfig
from megatron.core.transformer import multi_latent_attention as mla
from megatron.core.transformer.moe import moe_utils
from torch import Tensor

# Without Transformer Engine, Megatron-Core 0.16.1 leaves the first name undefined, and is wrong in the other.
moe_utils.te_general_gemm = getattr(moe_utils, "te_general_gemm", None)
mla.HAVE_TE = isinstance(mla.TELinear, type)


class RMSNorm(torch.nn.Module):
    """Root mean square normalisation (Zhang and Sennrich 2019), which may run under sequence parallelism."""

    def __init__(self, config: TransformerConfig, hidden_size: int, eps: float):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(hidden_size, dtype=config.params_dtype))
        # Each tensor-parallel rank sees a part of the sequence; Megatron then sums this weight's gradients.
        self.weight.sequence_parallel = config.sequence_parallel
        self._eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self._eps)
        return self.weight * wide.to(hidden.dtype)


class NormThenAdd(torch.nn.Module):
    """The end of a sandwich: normalise what attention or MLP gave, then add the residual.

    It stands where Megatron has bias, dropout and addition; there is neither bias nor dropout.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.norm = RMSNorm(config, config.hidden_size, config.layernorm_epsilon)

    def forward(self, training: bool, fused: bool) -> Callable[..., Tensor]:
        return lambda output, residual, _dropout: residual + self.norm(output[0])


class LatentAttention(mla.MLASelfAttention):
    """Multi-head latent attention (DeepSeek-V2, 2024) whose keys' rotary part learns from all heads.

    Megatron's local layers split the projection to the latents among tensor-parallel ranks; the part of it that all
    heads share then gets the gradient of one rank's heads alone. Here every rank has the whole projection.
    """

    def __init__(self, config: MLATransformerConfig, *args: Any, **kwargs: Any):
        super().__init__(config, *args, **kwargs)
        self.linear_kv_down_proj = ReplicatedLinear(
            config, config.hidden_size, config.kv_lora_rank + config.qk_pos_emb_head_dim
        )

    def _resolve_qk_norm_config(self, submodules: Any) -> dict[str, Any]:
        """What Megatron-Core 0.19 makes these layers of; left to itself, it asks for Transformer Engine's.

        Queries have no latents here, and so no norm.
        """
        names = ("linear_q_proj", "linear_q_up_proj", "linear_kv_up_proj", "kv_layernorm")
        return {**{name: getattr(submodules, name) for name in names}, "q_layernorm": None}


class ReplicatedLinear(torch.nn.Module):
    """The same whole weight on every tensor-parallel rank, each of which applies it to a part of the sequence."""

    def __init__(self, config: TransformerConfig, inputs: int, outputs: int):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(outputs, inputs, dtype=config.params_dtype))
        self.weight.sequence_parallel = config.sequence_parallel

    def forward(self, hidden: Tensor) -> tuple[Tensor, None]:
        return torch.nn.functional.linear(hidden, self.weight), None


class ValueHead(torch.nn.Module):
    """A critic's last layer: one value a token, the same whole weight on every tensor-parallel rank."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self._sequence_parallel = config.sequence_parallel
        weight = torch.empty(1, config.hidden_size).normal_(
            std=config.init_method_std, generator=torch.Generator().manual_seed(0)
        )
        self.weight = torch.nn.Parameter(weight.to(config.params_dtype))

    def forward(
        self, hidden: Tensor, weight: None = None, runtime_gather_output: bool | None = None
    ) -> tuple[Tensor, None]:
        """[s, B, hidden] → [whole s, B, 1]; called as GPTModel calls its output layer."""
        if self._sequence_parallel:
            hidden = gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=False)
        return torch.nn.functional.linear(hidden, self.weight), None
