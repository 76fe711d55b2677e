"""Multi-token prediction: extra layers guess the token after the next one, and learn without touching the rest."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.models.gpt import GPTModel
from megatron.core.transformer.multi_token_prediction import (
    MTPLossAutoScaler,
    MultiTokenPredictionLayerSubmodules,
    roll_tensor,
)
from torch import Tensor

# What Megatron-Core calls the layer within an MTP layer: the first name from 0.17 on, the second in 0.16.
INNER_LAYER = next(
    name
    for name in ("mtp_model_layer", "transformer_layer")
    if name in MultiTokenPredictionLayerSubmodules.__dataclass_fields__
)


class MtpModel(GPTModel):
    """A GPTModel whose MTP layers are trained beside the policy.

    The hidden states, the embedding and the output weights that they use are detached: the loss of the MTP layers
    changes these layers alone, and the policy learns as if they were not there.
    """

    mtp_loss: Tensor | None = None
    """Of the last forward pass, summed over this rank's tokens; None without ``mtp_weights``."""

    def forward(self, *args: Any, mtp_weights: Tensor | None = None, **kwargs: Any) -> Tensor:
        """As GPTModel's.

        ``mtp_weights``, [B, s], say how much guessing each token counts; None leaves the MTP layers out. Their
        loss, times ``config.mtp_loss_scaling_factor``, goes with the main loss, which must be a sum over tokens
        (``config.calculate_per_token_loss``).
        """
        self._mtp_weights = mtp_weights
        return super().forward(*args, **kwargs)

    def _postprocess(self, hidden_states: Tensor, input_ids: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not self.post_process:
            return hidden_states
        self.mtp_loss = None
        if self._mtp_weights is not None:
            loss = self._guess(hidden_states, input_ids, **kwargs)
            self.mtp_loss = loss.detach()
            hidden_states = MTPLossAutoScaler.apply(hidden_states, self.config.mtp_loss_scaling_factor * loss)
        shared = self.share_embeddings_and_output_weights
        weight = self.shared_embedding_or_output_weight() if shared else None
        logits, _ = self.output_layer(hidden_states, weight=weight)
        return logits.transpose(0, 1).contiguous()

    def _guess(
        self,
        hidden_states: Tensor,
        input_ids: Tensor,
        *,
        position_ids: Tensor,
        attention_mask: Tensor | None,
        rotary_pos_emb: Tensor | None,
        **_kwargs: Any,
    ) -> Tensor:
        """The loss of the MTP layers: of the k-th, for guessing the token k + 1 places ahead."""
        states = self.mtp(
            input_ids=input_ids,
            position_ids=position_ids,
            hidden_states=hidden_states.detach(),
            attention_mask=attention_mask,
            rotary_pos_emb=rotary_pos_emb,
            embedding=lambda **inputs: self.embedding(**inputs).detach(),
        )
        shared = self.share_embeddings_and_output_weights
        weight = self.shared_embedding_or_output_weight() if shared else self.output_layer.weight
        guesses = states.chunk(1 + len(self.mtp.layers))[1:]
        targets, weights = self._next(input_ids), self._next(self._mtp_weights)
        losses = []
        for guess in guesses:
            targets, weights = self._next(targets), self._next(weights)
            logits, _ = self.output_layer(guess, weight=weight.detach())
            errors = torch.nn.functional.cross_entropy(logits.permute(1, 2, 0).float(), targets, reduction="none")
            losses.append((errors * weights).sum())
        return torch.stack(losses).mean()

    def _next(self, values: Tensor) -> Tensor:
        """[B, s] → what stands one place further, 0 after the end; over context-parallel ranks too."""
        return roll_tensor(values, cp_group=self.cp_group)[0]
