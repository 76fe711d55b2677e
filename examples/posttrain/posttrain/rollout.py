"""Rollouts: samples of the current policy with their log-probabilities, and the tensors made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from posttrain.grpo import token_log_probs
from posttrain.model import load_model
from posttrain.sample import Sample


@dataclass(frozen=True)
class Rollout:
    """B samples: prompts padded on the left to P tokens, completions padded on the right to C.

    The samples of one prompt are neighbours.
    """

    tokens: Tensor
    """[B, P + C], int64."""
    attention_mask: Tensor
    """[B, P + C], 1 where a token is no padding."""
    completion_mask: Tensor
    """[B, C], 1 for each sampled token that learns; 0 where it does not, or is padding."""
    log_probs: Tensor
    """[B, C], of the sampled tokens, by the policy that sampled them."""
    rewards: Tensor
    """[B]."""
    weights_version: int
    """How many updates the sampling policy had seen."""
    samples: list[Sample]
    """What the tensors were made of, in their order."""

    @property
    def completions(self) -> Tensor:
        """[B, C], int64."""
        return self.tokens[:, -self.completion_mask.shape[1] :]


def pack(samples: list[Sample], *, pad: int, version: int, device: torch.device) -> Rollout:
    """The tensors of ``samples``, which must have been generated and rewarded.

    :raises ValueError: a sample lacks the log-probabilities that training compares with.
    """
    prompt = max(len(sample.tokens) - sample.response_length for sample in samples)
    response = max(1, *(sample.response_length for sample in samples))
    tokens, attention, masks, log_probs = [], [], [], []
    for sample in samples:
        length = sample.response_length
        if sample.rollout_log_probs is None or len(sample.rollout_log_probs) != length:
            raise ValueError(f"sample {sample.index} has no log-probability for each token of its response")
        left, right = prompt - len(sample.tokens) + length, response - length
        tokens.append([pad] * left + sample.tokens + [pad] * right)
        attention.append([0] * left + [1] * len(sample.tokens) + [0] * right)
        masks.append([*([1] * length if sample.loss_mask is None else sample.loss_mask), *[0] * right])
        log_probs.append([*sample.rollout_log_probs, *[0.0] * right])
    return Rollout(
        tokens=torch.tensor(tokens, device=device),
        attention_mask=torch.tensor(attention, device=device),
        completion_mask=torch.tensor(masks, dtype=torch.float32, device=device),
        log_probs=torch.tensor(log_probs, device=device),
        rewards=torch.tensor([sample.reward for sample in samples], dtype=torch.float32, device=device),
        weights_version=version,
        samples=samples,
    )


class RolloutEngine:
    """A whole copy of the policy on each rank, that only samples."""

    def __init__(self, model_path: Path, *, temperature: float, max_new_tokens: int, device: torch.device):
        self._model = load_model(model_path, device)
        self._tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
        self._eos = self._model.config.eos_token_id
        self.pad = self._model.config.pad_token_id
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._device = device
        self.version = 0

    @torch.no_grad()
    def update_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Take over ``weights``, by the names of transformers' model."""
        for name, parameter in self._model.named_parameters():
            parameter.copy_(weights[name])
        self.version = version

    @torch.no_grad()
    def generate(self, samples: list[Sample], *, seed: int) -> None:
        """Sample a response to each prompt, in place; the same seed gives the same responses."""
        tokens, attention = self._pad_left([sample.prompt for sample in samples])
        width = tokens.shape[1]
        generator = torch.Generator(self._device).manual_seed(seed)
        alive = torch.ones(len(samples), dtype=torch.long, device=self._device)
        log_probs, masks, cache, inputs = [], [], None, tokens
        for _ in range(self._max_new_tokens):
            positions = (attention.cumsum(dim=1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
            output = self._model(
                inputs,
                attention_mask=attention,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            logits, cache = output.logits[:, -1], output.past_key_values
            sampled = torch.where(alive.bool(), self._sample(logits, generator), self.pad)
            log_probs.append(token_log_probs(logits, sampled, self._temperature))
            masks.append(alive)
            tokens = torch.cat([tokens, sampled.unsqueeze(1)], dim=1)
            attention = torch.cat([attention, alive.unsqueeze(1)], dim=1)
            alive = alive * (sampled != self._eos)
            inputs = sampled.unsqueeze(1)
        lengths = torch.stack(masks, dim=1).sum(dim=1).tolist()
        starts = (width - attention[:, :width].sum(dim=1)).tolist()
        rows = zip(samples, tokens.tolist(), torch.stack(log_probs, dim=1).tolist(), starts, lengths, strict=True)
        for sample, row, probabilities, start, length in rows:
            sample.tokens = row[start : width + length]
            sample.response = self._tokenizer.decode(row[width : width + length])
            sample.response_length = length
            sample.rollout_log_probs = probabilities[:length]
            sample.loss_mask = [1] * length
            ended = row[width + length - 1] == self._eos
            sample.status = Sample.Status.COMPLETED if ended else Sample.Status.TRUNCATED

    def _pad_left(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        encoded = [self._tokenizer.encode(prompt).ids for prompt in prompts]
        width = max(map(len, encoded))
        tokens = [[self.pad] * (width - len(ids)) + ids for ids in encoded]
        mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in encoded]
        return torch.tensor(tokens, device=self._device), torch.tensor(mask, device=self._device)

    def _sample(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        # Exponential races: the arg max of p / Exp(1) is a draw from p (what torch.multinomial does inside).
        noise = torch.empty_like(logits).exponential_(generator=generator)
        return (torch.softmax(logits / self._temperature, dim=-1) / noise).argmax(dim=-1)
