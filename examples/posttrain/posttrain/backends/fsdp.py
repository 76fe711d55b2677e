"""PyTorch FSDP2: each parameter is a DTensor sharded over all ranks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import fully_shard

from posttrain.arguments import Config
from posttrain.backends.base import StepResult
from posttrain.grpo import clip_loss, token_log_probs
from posttrain.hooks import hook_args, load_function
from posttrain.model import load_model
from posttrain.rollout import Rollout
from posttrain.training_data import padded, sum_of_sample_mean


def init(config: Config, device: torch.device) -> FsdpBackend:
    """Load the checkpoint and shard it, layer by layer."""
    model = load_model(config.model_path, device)
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    return FsdpBackend(model, config)


class FsdpBackend:
    """See ``posttrain.backends.base.Backend``."""

    def __init__(self, model: torch.nn.Module, config: Config):
        self._model = model
        self._config = config
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
        )
        path = config.custom_loss_function_path
        self._loss_function = load_function(path) if path else None

    @torch.no_grad()
    def log_probs(self, rollout: Rollout) -> Tensor:
        return self._forward(rollout)

    def train_step(self, rollout: Rollout, data: dict[str, Any]) -> StepResult:
        compute = self._clip_loss if self._loss_function is None else self._custom_loss
        loss, sums, count = compute(rollout, data)
        # FSDP averages gradients over the ranks; the mean over all tokens or samples needs their sum.
        (loss / count * dist.get_world_size()).backward()
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        totals = torch.stack([loss.detach(), *sums.values()])
        dist.all_reduce(totals)
        mean_loss, *means = (totals / count).tolist()
        return StepResult(mean_loss, norm.full_tensor().item(), dict(zip(sums, means, strict=True)))

    def _clip_loss(self, rollout: Rollout, data: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss and metrics summed over this rank's tokens, and the number of tokens of all ranks."""
        mask = padded(data["loss_masks"], rollout.completion_mask.shape[1])
        tokens = mask.sum()
        dist.all_reduce(tokens)
        loss = clip_loss(
            self._forward(rollout),
            rollout.log_probs,
            padded(data["advantages"], mask.shape[1]),
            mask,
            clip_low=self._config.clip_low,
            clip_high=self._config.clip_high,
        )
        return loss.total, {"clip_fraction": loss.clipped}, tokens.clamp(min=1)

    def _custom_loss(self, rollout: Rollout, data: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss and metrics summed over this rank's samples, and the number of samples of all ranks."""
        assert self._loss_function is not None
        logits = self._logits(rollout, 0)[rollout.attention_mask.bool()].unsqueeze(0)
        args = hook_args(self._config)
        loss, metrics = self._loss_function(args, data, logits, partial(sum_of_sample_mean, data=data))
        samples = torch.tensor(len(rollout.samples) * dist.get_world_size(), device=loss.device)
        return loss, {name: torch.as_tensor(value).detach() for name, value in metrics.items()}, samples

    def weights_for_rollout(self) -> dict[str, Tensor]:
        return {name: value.detach().full_tensor() for name, value in self._model.named_parameters()}

    def local_weights(self) -> dict[str, Tensor]:
        return {name: value.detach().to_local() for name, value in self._model.named_parameters()}

    def _forward(self, rollout: Rollout) -> Tensor:
        logits = self._logits(rollout, rollout.completion_mask.shape[1] + 1)[:, :-1]
        return token_log_probs(logits, rollout.completions, self._config.temperature)

    def _logits(self, rollout: Rollout, to_keep: int) -> Tensor:
        """[B, to_keep, V], of the last places; of all places for 0."""
        logits: Tensor = self._model(
            rollout.tokens,
            attention_mask=rollout.attention_mask,
            position_ids=(rollout.attention_mask.cumsum(dim=1) - 1).clamp(min=0),
            use_cache=False,
            logits_to_keep=to_keep,
        ).logits
        return logits
