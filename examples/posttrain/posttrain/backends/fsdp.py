"""PyTorch FSDP2: each parameter is a DTensor sharded over all ranks."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Replica, StepResult
from posttrain.model import dtype_of, load_model
from posttrain.training.adam_state import AdamState
from posttrain.training.data import Batch, Data, batches, from_places
from posttrain.training.objective import Objective
from posttrain.vision import answer_in_text, model_inputs

_ONLY_MEGATRON = ("tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel")


def init(config: Config, device: torch.device, objective: Objective) -> FsdpBackend:
    """Load the checkpoint and shard it, layer by layer."""
    for name in _ONLY_MEGATRON:
        if getattr(config, name) > 1:
            raise BadArguments(f"--{name.replace('_', '-')} goes with --backend megatron only")
    if config.routing_replay or config.mtp_loss_weight:
        raise BadArguments("--routing-replay and --mtp-loss-weight go with --backend megatron only")
    model = load_model(config.model_path, device)
    answer_in_text(model)
    if objective.critic:
        torch.manual_seed(config.seed)
        model.set_output_embeddings(torch.nn.Linear(model.config.hidden_size, 1, bias=False, device=device))
    precision = MixedPrecisionPolicy(param_dtype=dtype_of(config, device), reduce_dtype=torch.float32)
    for layer in model.get_decoder().layers:
        fully_shard(layer, mp_policy=precision)
    fully_shard(model, mp_policy=precision)
    return FsdpBackend(model, config, objective)


class FsdpBackend:
    """See ``posttrain.backends.base.Backend``."""

    def __init__(self, model: torch.nn.Module, config: Config, objective: Objective):
        self.model = [model]
        self.replica = Replica(dist.get_rank(), dist.get_world_size(), group=None, leader=dist.get_rank())
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=objective.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
        )
        self._adam_state = AdamState([self.optimizer], on_cpu=config.optimizer_on_cpu)
        self._config = config
        self._objective = objective
        # A save goes on in a thread, whose messages must not mix with those of training.
        self._saving_group = dist.new_group(backend="gloo")
        self._saving: Future[Any] | None = None

    @torch.no_grad()
    def scores(self, data: Data) -> list[Tensor]:
        scores = []
        for batch in batches(data, self._config):
            scores += from_places(self._objective.scores(self._forward(batch), batch), batch.data)
        return scores

    def train_step(self, data: Data) -> StepResult:
        totals: dict[str, Tensor] = {}
        for batch in batches(data, self._config):
            loss, metrics = self._objective.loss(self._forward(batch), batch)
            # FSDP averages gradients over the ranks; shares of a loss want their sum.
            (loss * dist.get_world_size()).backward()
            for name, share in {"loss": loss.detach(), **metrics}.items():
                totals[name] = totals.get(name, torch.zeros_like(share)) + share
        norm = torch.nn.utils.clip_grad_norm_(self.model[0].parameters(), self._config.max_grad_norm)
        with self._adam_state.on_device():
            self.optimizer.step()
        self.optimizer.zero_grad()
        sums = torch.stack(list(totals.values()))
        dist.all_reduce(sums)
        loss, *metrics = sums.tolist()
        return StepResult(loss, norm.full_tensor().item(), dict(zip(list(totals)[1:], metrics, strict=True)))

    def weights_for_rollout(self) -> dict[str, Tensor]:
        return {name: value.detach().full_tensor() for name, value in self.model[0].named_parameters()}

    def local_weights(self) -> dict[str, Tensor]:
        return {name: value.detach().to_local() for name, value in self.model[0].named_parameters()}

    def save(self, directory: Path, *, asynchronous: bool) -> None:
        save = dcp.async_save if asynchronous else dcp.save
        with self._adam_state.on_device():
            saving = save(self._state(), checkpoint_id=directory, process_group=self._saving_group)
        self._saving = saving if isinstance(saving, Future) else None

    def finish_save(self) -> None:
        if self._saving:
            self._saving.result()
            self._saving = None

    def load(self, directory: Path) -> None:
        with self._adam_state.on_device():
            state = self._state()
            dcp.load(state, checkpoint_id=directory, process_group=self._saving_group)
            model, optimizer = state["model"], state["optimizer"]
            set_state_dict(self.model[0], self.optimizer, model_state_dict=model, optim_state_dict=optimizer)

    def _state(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self.model[0], self.optimizer)
        return {"model": model, "optimizer": optimizer}

    def _forward(self, batch: Batch) -> Any:
        """[b, S, V]. Padding stands behind everything that learns, so causal attention needs no mask."""
        model = self.model[0]
        inputs = model_inputs(model, batch.tokens, batch.data.get("image", ()))
        return model(batch.tokens, use_cache=False, **inputs).logits
