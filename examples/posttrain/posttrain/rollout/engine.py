"""The engine that samples: transformers' own model, whole on its rank."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from posttrain.arguments import BadArguments, Config
from posttrain.model import dtype_of, load_model
from posttrain.rollout.fp8 import rounded
from posttrain.sample import Sample
from posttrain.training.grpo import token_log_probs
from posttrain.vision import answer_in_text, model_inputs, picture_tokens


class RolloutEngine:
    """A whole copy of the policy, that only samples. A lock orders samples and new weights of several threads."""

    def __init__(self, config: Config, device: torch.device):
        self._model = load_model(config.model_path, device, dtype_of(config, device))
        answer_in_text(self._model)
        self._tokenizer = Tokenizer.from_file(str(config.model_path / "tokenizer.json"))
        self._eos = self._model.config.get_text_config().eos_token_id
        self._config = config
        self._device = device
        self._lock = threading.Lock()
        self._choices = _ExpertChoices(self._model) if config.routing_replay else None
        self.version = 0
        if config.true_on_policy and not config.sequence_width:
            raise BadArguments("--true-on-policy needs a --sequence-width, the same for sampling and training")

    @torch.no_grad()
    def update_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Take over ``weights``, by the names of transformers' model."""
        with self._lock:
            for name, value in self._model.named_parameters():
                value.copy_(rounded(name, weights[name]) if self._config.fp8_rollout else weights[name])
            for name, value in self._model.named_buffers():
                if name in weights:
                    value.copy_(weights[name])
            self.version = version

    @torch.no_grad()
    def generate(self, samples: list[Sample], *, seed: int) -> None:
        """Sample a response to each prompt, in place. All of ``seed`` counts: CPU generators read 32 bits."""
        with self._lock:
            self._generate(samples, seed)

    def _generate(self, samples: list[Sample], seed: int) -> None:
        prompts = [self._prompt_tokens(sample) for sample in samples]
        pictures = [sample.image for sample in samples if sample.image]
        if pictures and len(pictures) < len(samples):
            raise BadArguments("some samples have a picture, some have none: they cannot be sampled together")
        decoding = (_WholeSequences if self._config.true_on_policy else _Cached)(self, prompts, pictures)
        generator = torch.Generator(self._device).manual_seed(seed % 2**32 ^ (seed >> 32) * 2_654_435_761 % 2**32)
        alive = torch.ones(len(samples), dtype=torch.long, device=self._device)
        responses, log_probs, lengths = [], [], torch.zeros_like(alive)
        for _ in range(self._config.max_new_tokens):
            logits = decoding.next_logits()
            sampled = torch.where(alive.bool(), self._sample(logits, generator), self._eos)
            log_probs.append(token_log_probs(logits, sampled, self._config.temperature))
            responses.append(sampled)
            decoding.append(sampled, alive)
            lengths += alive
            alive = alive * (sampled != self._eos)
        columns = (torch.stack(values, dim=1).tolist() for values in (responses, log_probs))
        for sample, prompt, response, probabilities, length in zip(
            samples, prompts, *columns, lengths.tolist(), strict=True
        ):
            sample.tokens = prompt + response[:length]
            sample.response = self._tokenizer.decode(response[:length])
            sample.response_length = length
            sample.rollout_log_probs = probabilities[:length]
            sample.loss_mask = [1] * length
            sample.weights_version = self.version
            ended = response[length - 1] == self._eos
            sample.status = Sample.Status.COMPLETED if ended else Sample.Status.TRUNCATED
        if self._choices:
            for sample, choices in zip(samples, decoding.expert_choices(), strict=True):
                sample.routed_experts = choices[:, : len(sample.tokens) - 1]

    def _prompt_tokens(self, sample: Sample) -> list[int]:
        text = self._tokenizer.encode(sample.prompt).ids
        return [*picture_tokens(self._model.config, sample.image), *text] if sample.image else text

    def _sample(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        # Exponential races: the arg max of p / Exp(1) is a draw from p (what torch.multinomial does inside).
        logits = logits.float() / self._config.temperature
        noise = torch.empty_like(logits).exponential_(generator=generator)
        return (torch.softmax(logits, dim=-1) / noise).argmax(dim=-1)


class _Cached:
    """Prompts padded on the left, and a cache of keys and values: as fast as it gets."""

    def __init__(self, engine: RolloutEngine, prompts: list[list[int]], pictures: list[str]):
        self._engine = engine
        width = max(map(len, prompts))
        self._starts = [width - len(prompt) for prompt in prompts]
        rows = zip(self._starts, prompts, strict=True)
        self._inputs = torch.tensor([[engine._eos] * left + prompt for left, prompt in rows], device=engine._device)
        self._attention = torch.tensor(
            [[0] * left + [1] * (width - left) for left in self._starts], device=engine._device
        )
        self._arguments = model_inputs(engine._model, self._inputs, pictures, self._attention)
        self._cache = None
        self._chosen: list[Tensor] = []

    def next_logits(self) -> Tensor:
        output = self._engine._model(
            self._inputs,
            attention_mask=self._attention,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **self._arguments,
        )
        self._cache = output.past_key_values
        if self._engine._choices:
            self._chosen.append(self._engine._choices.of_last_pass(len(self._inputs)))
        return output.logits[:, -1]

    def append(self, tokens: Tensor, alive: Tensor) -> None:
        self._inputs = tokens.unsqueeze(1)
        self._attention = torch.cat([self._attention, alive.unsqueeze(1)], dim=1)
        self._arguments = {"position_ids": self._arguments["position_ids"][..., -1:] + 1}

    def expert_choices(self) -> list[Tensor]:
        chosen = torch.cat(self._chosen, dim=2)
        return [chosen[:, row, start:].cpu() for row, start in enumerate(self._starts)]


class _WholeSequences:
    """Every pass takes whole sequences of the width, batch and padding that training has.

    So each number comes out of the same arithmetic, to the last bit.
    """

    def __init__(self, engine: RolloutEngine, prompts: list[list[int]], pictures: list[str]):
        self._engine = engine
        self._pictures = pictures
        width = engine._config.sequence_width
        if max(map(len, prompts)) + engine._config.max_new_tokens > width:
            raise BadArguments(f"--sequence-width {width} is too little for the longest prompt and its response")
        rows = [prompt + [0] * (width - len(prompt)) for prompt in prompts]
        self._tokens = torch.tensor(rows, device=engine._device)
        self._lengths = torch.tensor(list(map(len, prompts)), device=engine._device)
        self._chosen: list[Tensor] = []

    def next_logits(self) -> Tensor:
        size = self._engine._config.micro_batch_size or len(self._tokens)
        logits, self._chosen = [], []
        for start in range(0, len(self._tokens), size):
            part, pictures = self._tokens[start : start + size], self._pictures[start : start + size]
            inputs = model_inputs(self._engine._model, part, pictures)
            passed = self._engine._model(part, use_cache=False, **inputs)
            logits.append(passed.logits)
            if self._engine._choices:
                self._chosen.append(self._engine._choices.of_last_pass(len(part)))
        rows = torch.arange(len(self._tokens), device=self._tokens.device)
        return torch.cat(logits)[rows, self._lengths - 1]

    def append(self, tokens: Tensor, alive: Tensor) -> None:
        rows = torch.arange(len(tokens), device=tokens.device)[alive.bool()]
        self._tokens[rows, self._lengths[rows]] = tokens[rows]
        self._lengths[rows] += 1

    def expert_choices(self) -> list[Tensor]:
        return [row.cpu() for row in torch.cat(self._chosen, dim=1).unbind(1)]


class _ExpertChoices:
    """Listens to the routers of a mixture-of-experts model."""

    def __init__(self, model: torch.nn.Module):
        self._last: dict[int, Tensor] = {}
        routers = [module for module in model.modules() if type(module).__name__.lower().endswith("topkrouter")]
        if not routers:
            raise BadArguments("--routing-replay needs a model with experts")
        for number, router in enumerate(routers):
            router.register_forward_hook(self._listener(number))

    def of_last_pass(self, rows: int) -> Tensor:
        """[layers, B, tokens of the pass, experts a token]."""
        return torch.stack([self._last[number] for number in sorted(self._last)]).unflatten(1, (rows, -1))

    def _listener(self, number: int) -> Any:
        def listen(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
            self._last[number] = output[2]  # transformers' routers return logits, weights and choices

        return listen
