"""A policy or a critic for the reference: transformers' own model in float64, never padded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import posttrain.mimo  # noqa: F401  transformers then knows it
import torch
from reference import fp8, pictures
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.utils import logging

_NO_ANSWER = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


class Network:
    """``head`` is a critic's last layer, [1, hidden]; without one this is a policy."""

    def __init__(self, path: Path, head: Tensor | None = None):
        logging.disable_progress_bar()
        self.config = AutoConfig.from_pretrained(path)
        self._sees = hasattr(self.config, "vision_config")
        auto = AutoModelForImageTextToText if self._sees else AutoModelForCausalLM
        plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
        self.model: Any = auto.from_pretrained(path, dtype=torch.float64, **plain).eval()
        if head is not None:
            layer = torch.nn.Linear(head.shape[1], 1, bias=False, dtype=torch.float64)
            layer.weight.data.copy_(head)
            self.model.set_output_embeddings(layer)

        self._chosen: list[Tensor] = []
        self._sent: dict[tuple[int, ...], Tensor] = {}
        """By tokens: [layers, tokens, experts a token], where a sample's tokens are sent."""
        self._following: list[Tensor] = []
        routers = [one for one in self.model.modules() if type(one).__name__.lower().endswith("topkrouter")]
        for number, router in enumerate(routers):
            router.register_forward_hook(partial(self._route, number))

    @contextmanager
    def following(self, samples: Sequence[dict[str, Any]]) -> Iterator[None]:
        """Within it the tokens of ``samples`` go where their rollout sent them, whatever the routers would choose.

        How much each expert says is up to the routers all the same (Ma et al. 2025, arXiv:2510.11370).
        """
        for sample in samples:
            seen = sample["routed_experts"]
            last = seen[:, -1:]  # no expert says anything that counts of what comes after the last token
            self._sent[tuple(sample["tokens"])] = torch.cat([seen, last], dim=1)
        yield
        self._sent.clear()

    def _route(self, number: int, router: Any, _inputs: Any, output: tuple[Tensor, ...]) -> Any:
        logits, _, chosen = output
        self._chosen.append(chosen)
        if not self._following:
            return None
        to = self._following[number]
        latent = hasattr(router, "e_score_correction_bias")  # DeepSeek-V3, equations 13 to 16; else Qwen3
        weights = (logits.double().sigmoid() if latent else logits.double().softmax(dim=-1)).gather(1, to)
        weights = weights / weights.sum(dim=-1, keepdim=True) * getattr(router, "routed_scaling_factor", 1.0)
        return logits, weights, to

    def choices(self, samples: Sequence[dict[str, Any]]) -> list[Tensor]:
        """Of each sample [layers, tokens, experts a token]: where the routers send its tokens."""

        def read(some: Sequence[dict[str, Any]]) -> Tensor:
            self._chosen.clear()
            self._output(some)
            return torch.stack(self._chosen).unflatten(1, (len(some), -1)).transpose(0, 1)

        return _of_each_length(samples, read)

    def weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.named_parameters()}

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        for name, value in self.model.named_parameters():
            value.copy_(weights[name])

    @torch.no_grad()
    def round_to_fp8(self) -> None:
        """As an engine with FP8 weights holds them: matrices, apart from embeddings, output and routers."""
        for name, value in self.model.named_parameters():
            if value.dim() >= 2 and not name.endswith(("embed_tokens.weight", "lm_head.weight", "mlp.gate.weight")):
                value.copy_(fp8.rounded(value))

    def outputs(self, samples: Sequence[dict[str, Any]]) -> list[Tensor]:
        """Of each sample [tokens, vocabulary], or [tokens, 1] of a critic."""
        return _of_each_length(samples, self._output)

    def guesses(self, samples: Sequence[dict[str, Any]]) -> list[Tensor]:
        """MiMo's first MTP layer: row i is its guess of token i + 2. Nothing but the layer itself learns from it.

        DeepSeek-V3, equations 21 to 23: it sees the main model's hidden state and the next token's embedding.
        """
        return _of_each_length(samples, self._guess)

    def _output(self, samples: Sequence[dict[str, Any]]) -> Tensor:
        rows = [sample["tokens"] for sample in samples]
        sent = [self._sent[tuple(row)] for row in rows if self._sent]
        # [samples, layers, tokens, k], of each layer the tokens of one sample after those of the other
        self._following = list(torch.stack(sent).transpose(0, 1).flatten(1, 2)) if sent else []
        inputs: dict[str, Any] = {}
        if self._sees:
            each = [pictures.inputs(self.config, sample["tokens"], sample["image"]) for sample in samples]
            axes = {"pixel_values": 0, "image_grid_thw": 0, "position_ids": 1}
            inputs = {name: torch.cat([one[name] for one in each], dim=axis) for name, axis in axes.items()}
        output: Tensor = self.model(torch.tensor(rows), use_cache=False, **inputs).logits
        if self._sees:
            never = torch.tensor([getattr(self.config, name) for name in _NO_ANSWER])
            output = output.index_fill(-1, never, -torch.inf)
        return output

    def _guess(self, samples: Sequence[dict[str, Any]]) -> Tensor:
        trunk = self.model.model
        rows = torch.tensor([sample["tokens"] for sample in samples])
        length = rows.shape[1] - 1
        with torch.no_grad():
            hidden = trunk(rows).last_hidden_state[:, :-1]
            ahead = trunk.embed_tokens(rows[:, 1:])
            rotary = trunk.rotary_emb(hidden, torch.arange(length).expand(len(rows), -1))
        causal = torch.full((length, length), torch.finfo(torch.float64).min, dtype=torch.float64).triu(1)
        states = trunk.mtp_layers[0](
            ahead, hidden, attention_mask=causal.expand(len(rows), 1, -1, -1), position_embeddings=rotary
        )
        return torch.nn.functional.linear(states, self.model.lm_head.weight.detach())


def _of_each_length(samples: Sequence[dict[str, Any]], read: Callable[[Any], Tensor]) -> list[Tensor]:
    """``read`` gets samples of one length at a time, so that nothing is padded."""
    found: dict[int, Tensor] = {}
    for length in sorted({len(sample["tokens"]) for sample in samples}):
        places = [place for place, sample in enumerate(samples) if len(sample["tokens"]) == length]
        found.update(zip(places, read([samples[place] for place in places]), strict=True))
    return [found[place] for place in range(len(samples))]
