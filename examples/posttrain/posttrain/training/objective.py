"""What is asked of a trained model: of a policy log-probabilities and their loss, of a critic values and theirs."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from posttrain.arguments import BadArguments, Config
from posttrain.hooks import hook_args, load_hook
from posttrain.training.data import Batch, from_places, on_places, sum_of_sample_mean
from posttrain.training.grpo import clip_loss, token_log_probs

Metrics = dict[str, Tensor]


class Objective(Protocol):
    """Reads the output of a model, [b, S, V] for a policy and [b, S, 1] for a critic."""

    critic: bool
    learning_rate: float

    def scores(self, output: Tensor, batch: Batch) -> Tensor:
        """One number for each place, [b, S]."""

    def loss(self, output: Tensor, batch: Batch) -> tuple[Tensor, Metrics]:
        """This batch's share of the loss and of each metric; the shares of all batches and ranks add up."""


class PolicyObjective:
    """PPO's clipped surrogate, or the loss of a hook."""

    critic = False

    def __init__(self, config: Config):
        self.learning_rate = config.learning_rate
        self._config = config
        self._args = hook_args(config)
        self._custom_loss = load_hook(config.custom_loss_function_path)
        self._custom_tis = load_hook(config.custom_tis_function_path)
        self._reducer = load_hook(config.custom_pg_loss_reducer_function_path)
        if config.context_parallel > 1 and (self._custom_loss or self._custom_tis or self._reducer):
            raise BadArguments("loss hooks see whole sequences: they do not go with --context-parallel")

    def scores(self, output: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities of the next tokens."""
        return token_log_probs(output, batch.targets, self._config.temperature)

    def loss(self, output: Tensor, batch: Batch) -> tuple[Tensor, Metrics]:
        """See Objective."""
        if self._custom_loss:
            return self._loss_of_hook(output, batch)
        given = batch.on_tokens
        log_probs = self.scores(output, batch)
        # With importance weights for the gap between the engines, the ratio is that of training alone.
        corrected = self._config.use_tis or self._custom_tis is not None
        old = given["log_probs" if corrected else "rollout_log_probs"]
        losses, clipped = clip_loss(
            log_probs,
            old,
            given["advantages"],
            clip_low=self._config.clip_low,
            clip_high=self._config.clip_high,
        )
        metrics: Metrics = {"clip_fraction": (clipped * given["loss_weights"]).sum()}
        if self._custom_tis:
            losses, more = self._tis_of_hook(losses, batch)
            metrics |= more
        elif corrected:
            weights = importance_weights(given["log_probs"], given["rollout_log_probs"], self._config.tis_clip)
            metrics["tis_weight"] = (weights * given["loss_weights"]).sum()
            losses = losses * weights
        if self._reducer:
            data = batch.data
            reduce = self._reducer(
                data["total_lengths"], data["response_lengths"], data["loss_masks"], self._config.per_token_loss
            )
            return reduce(torch.cat(from_places(losses, data))) / data["all_samples"], metrics
        return (losses * given["loss_weights"]).sum(), metrics

    def _loss_of_hook(self, output: Tensor, batch: Batch) -> tuple[Tensor, Metrics]:
        data = batch.data
        logits = torch.cat([row[:length] for row, length in zip(output, data["total_lengths"], strict=True)])
        assert self._custom_loss is not None
        loss, metrics = self._custom_loss(
            self._args, data, logits.unsqueeze(0), partial(sum_of_sample_mean, data=data)
        )
        return loss / data["all_samples"], _share(metrics, data)

    def _tis_of_hook(self, losses: Tensor, batch: Batch) -> tuple[Tensor, Metrics]:
        data = batch.data
        assert self._custom_tis is not None
        weighted, masks, metrics = self._custom_tis(
            args=self._args,
            pg_loss=torch.cat(from_places(losses, data)),
            train_log_probs=data["log_probs"],
            rollout_log_probs=data["rollout_log_probs"],
            loss_masks=data["loss_masks"],
            total_lengths=data["total_lengths"],
            response_lengths=data["response_lengths"],
        )
        parts = zip(weighted.split(data["response_lengths"]), masks, strict=True)
        kept = [part * mask for part, mask in parts]
        return on_places(kept, data, losses.shape[1]), _share(metrics, data)


class ValueObjective:
    """The clipped squared error of PPO's critic."""

    critic = True

    def __init__(self, config: Config):
        self.learning_rate = config.critic_learning_rate
        self._clip = config.value_clip

    def scores(self, output: Tensor, batch: Batch) -> Tensor:
        """What is still to be earned, as seen before the next token."""
        return output.squeeze(-1).float()

    def loss(self, output: Tensor, batch: Batch) -> tuple[Tensor, Metrics]:
        """Half the larger squared error of the value and of the value held near the rollout's."""
        given = batch.on_tokens
        values, old, returns = self.scores(output, batch), given["values"], given["returns"]
        near = old + (values - old).clamp(-self._clip, self._clip)
        losses = torch.maximum((values - returns) ** 2, (near - returns) ** 2) / 2
        error = ((values.detach() - returns).abs() * given["loss_weights"]).sum()
        return (losses * given["loss_weights"]).sum(), {"value_error": error}


def importance_weights(train: Tensor, rollout: Tensor, clip: float) -> Tensor:
    """exp(train - rollout), at most ``clip``: truncated importance sampling (Ionides 2008)."""
    return torch.exp(train - rollout).clamp(max=clip)


def _share(metrics: dict[str, Any], data: dict[str, Any]) -> Metrics:
    """A hook's metrics are sums over samples, as its loss is."""
    return {name: torch.as_tensor(value).detach().float() / data["all_samples"] for name, value in metrics.items()}
