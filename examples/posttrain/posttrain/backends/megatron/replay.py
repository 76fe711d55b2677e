"""Routing replay: training sends each token to the experts that the rollout chose for it.

Rollout and training round differently, and a token near the border between two experts would go to one here and to
the other there (Ma et al. 2025, arXiv:2510.11370).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.transformer.moe.router_replay import RouterReplayAction
from torch import Tensor

from posttrain.distributed import gather
from posttrain.training.data import Batch


class ExpertReplay:
    """Tells this rank's routers where each token of a batch went."""

    def __init__(self, model: GPTModel):
        config = model.config
        experts = [number for number, moe in enumerate(config.moe_layer_freq) if moe]
        layers = {layer.layer_number - 1: layer for layer in model.decoder.layers}
        self._routers = [
            (experts.index(number), layers[number].mlp.router) for number in layers if number in experts
        ]
        self._choices = config.moe_router_topk
        self._sequence_parallel = config.sequence_parallel
        self._asked: dict[int, Tensor] = {}
        self._counts = [0, 0]
        for number, router in self._routers:
            router.router_replay.set_router_replay_action(RouterReplayAction.REPLAY_FORWARD)
            router.register_forward_hook(partial(self._count, number))

    def prepare(self, batch: Batch) -> None:
        """The next forward pass takes ``batch``."""
        chosen = self._placed(batch)
        if self._sequence_parallel:
            size = parallel_state.get_tensor_model_parallel_world_size()
            chosen = chosen.chunk(size, dim=2)[parallel_state.get_tensor_model_parallel_rank()]
        # Megatron's layers have the sequence first: [layers, b, s, k] → [layers, s · b, k].
        chosen = chosen.transpose(1, 2).flatten(1, 2)
        for number, router in self._routers:
            router.router_replay.clear_indices()
            router.router_replay.set_target_indices(chosen[number])
            self._asked[number] = chosen[number]

    def followed(self) -> float:
        """The share of tokens that went where they were sent, over all ranks and passes since the last call."""
        pairs = gather(tuple(self._counts))
        self._counts = [0, 0]
        return sum(went for went, _ in pairs) / max(1, sum(tokens for _, tokens in pairs))

    def _count(self, number: int, _router: torch.nn.Module, _inputs: Any, output: tuple[Tensor, Tensor]) -> None:
        """``output`` holds the routing map that the dispatcher acts on, [tokens, experts]."""
        went = output[1].gather(1, self._asked[number]).all(dim=1)
        self._counts = [self._counts[0] + int(went.sum()), self._counts[1] + len(went)]

    def _placed(self, batch: Batch) -> Tensor:
        """[layers, b, s, k]; the rollout saw neither padding nor the last token: they go to the first experts."""
        given = batch.data["routed_experts"]
        width = int(batch.positions.max()) + 1
        chosen = torch.arange(self._choices).expand(len(given[0]), len(given), width, self._choices).clone()
        for row, choices in enumerate(given):
            seen = choices[:, :width]
            chosen[:, row, : seen.shape[1]] = seen
        return chosen.to(batch.tokens.device)[:, :, batch.positions[0]]
