"""One rank's part of a model under Megatron's schedules, with its distributed optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.distributed import (
    DistributedDataParallel,
    DistributedDataParallelConfig,
    finalize_model_grads,
)
from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
from megatron.core.pipeline_parallel import get_forward_backward_func
from megatron.core.transformer.module import Float16Module
from torch import Tensor
from transformers import PretrainedConfig

from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Replica, StepResult
from posttrain.backends.megatron import checkpoint, weights
from posttrain.backends.megatron.attention import zigzag_positions
from posttrain.backends.megatron.build import build_model, transformer_config
from posttrain.backends.megatron.convert import to_megatron, to_transformers
from posttrain.backends.megatron.replay import ExpertReplay
from posttrain.distributed import gather
from posttrain.model import dtype_of, load_model
from posttrain.training.adam_state import AdamState
from posttrain.training.data import Batch, Data, batches, from_places, width_of
from posttrain.training.objective import Objective


class MegatronBackend:
    """See ``posttrain.backends.base.Backend``."""

    def __init__(
        self,
        config: Config,
        hf_config: PretrainedConfig,
        replica: Replica,
        device: torch.device,
        objective: Objective,
    ):
        self.replica = replica
        self._config = config
        self._hf_config = hf_config
        self._objective = objective
        self._last_stage = parallel_state.is_pipeline_last_stage()
        dtype = dtype_of(config, device)
        self._megatron = megatron = transformer_config(
            hf_config,
            tp=config.tensor_parallel,
            pp=config.pipeline_parallel,
            cp=config.context_parallel,
            ep=config.expert_parallel,
            dtype=dtype,
            dispatcher=config.moe_dispatcher,
            routing_replay=config.routing_replay,
        )
        # Each token's weight in the loss is normalised already: gradients are summed and not divided again.
        megatron.finalize_model_grads_func = lambda model, _tokens, **groups: finalize_model_grads(
            model, None, **groups
        )
        if config.mtp_loss_weight:
            if not megatron.mtp_num_layers:
                raise BadArguments(f"--mtp-loss-weight: {hf_config.model_type} has no MTP layers")
            megatron.mtp_loss_scaling_factor = config.mtp_loss_weight
        self._module = build_model(
            hf_config,
            megatron,
            pre_process=parallel_state.is_pipeline_first_stage(),
            post_process=self._last_stage,
            critic=objective.critic,
        ).to(device)
        state = load_model(config.model_path, torch.device("cpu")).state_dict()
        if hf_config.tie_word_embeddings:
            state.pop("lm_head.weight")
        whole = to_megatron(state, hf_config)
        self._names = list(whole)
        weights.load(self._module, whole, critic=objective.critic)
        self._replay = ExpertReplay(self._module) if config.routing_replay else None
        module = Float16Module(megatron, self._module) if megatron.bf16 else self._module
        settings = DistributedDataParallelConfig(use_distributed_optimizer=True, grad_reduce_in_fp32=True)
        self.model = [DistributedDataParallel(megatron, settings, module)]
        self.optimizer = get_megatron_optimizer(
            OptimizerConfig(
                optimizer="adam",
                lr=objective.learning_rate,
                adam_beta1=0.9,
                adam_beta2=0.95,
                weight_decay=0.0,
                clip_grad=config.max_grad_norm,
                bf16=megatron.bf16,
                params_dtype=dtype,
                use_distributed_optimizer=True,
            ),
            self.model,
        )
        parts = [part.optimizer for part in self.optimizer.chained_optimizers if part.optimizer]
        self._adam_state = AdamState(parts, on_cpu=config.optimizer_on_cpu)
        self._saves = checkpoint.Saves()

    def scores(self, data: Data) -> list[Tensor]:
        spread = self._run(data, self._spread_scores, forward_only=True)
        width = self._width(data)
        device = data["tokens"][0].device
        scores = torch.cat(spread) if self._last_stage else torch.empty(len(data["tokens"]), width, device=device)
        if self._config.pipeline_parallel > 1:
            group = parallel_state.get_pipeline_model_parallel_group()
            dist.broadcast(scores, src=dist.get_process_group_ranks(group)[-1], group=group)
        return from_places(scores, data)

    def train_step(self, data: Data) -> StepResult:
        self.model[0].zero_grad_buffer()
        self.optimizer.zero_grad()
        shares = self._run(data, self._loss, forward_only=False)
        with self._adam_state.on_device():
            _, norm, _ = self.optimizer.step()
        # The last stage has the losses, each tensor-parallel rank the same ones.
        alone = parallel_state.get_tensor_model_parallel_rank() == 0
        loss, metrics = _added(gather(shares if self._last_stage and alone else []))
        if self._replay:
            metrics["replayed_share"] = self._replay.followed()
        return StepResult(loss, float(norm), metrics)

    def weights_for_rollout(self) -> Mapping[str, Tensor]:
        vocabulary = self._hf_config.get_text_config().vocab_size
        return to_transformers(weights.whole(self._module, self._names, vocabulary), self._hf_config)

    def local_weights(self) -> Mapping[str, Tensor]:
        return {name: value.detach() for name, value in self._module.named_parameters()}

    def save(self, directory: Path, *, asynchronous: bool) -> None:
        with self._adam_state.on_device():
            self._saves.start(self._module, self.optimizer, directory, asynchronous=asynchronous)

    def finish_save(self) -> None:
        self._saves.finish()

    def load(self, directory: Path) -> None:
        with self._adam_state.on_device():
            checkpoint.load(self._module, self.optimizer, directory)

    def _spread_scores(self, batch: Batch, output: Tensor, non_loss_data: bool) -> Tensor:
        """[b, width] on every context-parallel rank."""
        del non_loss_data
        local = self._objective.scores(output, batch)
        size = self._config.context_parallel
        scores = local.new_zeros(len(local), local.shape[1] * size)
        scores[:, batch.positions[0]] = local
        if size > 1:
            dist.all_reduce(scores, group=parallel_state.get_context_parallel_group())
        return scores

    def _loss(self, batch: Batch, output: Tensor) -> tuple[Tensor, Tensor, dict[str, float]]:
        loss, metrics = self._objective.loss(output, batch)
        if "mtp_weights" in batch.on_tokens:
            metrics["mtp_loss"] = self._module.mtp_loss
        shares = {"loss": loss.item(), **{name: value.item() for name, value in metrics.items()}}
        return loss, torch.ones((), dtype=torch.int, device=loss.device), shares

    def _run(self, data: Data, after: Any, *, forward_only: bool) -> list[Any]:
        """What ``after`` made of each micro batch's output; an empty list before the last pipeline stage."""
        micro = [self._own_part(batch) for batch in batches(data, self._config, self._multiple)]
        if len({len(batch.tokens) for batch in micro}) > 1:
            count = len(data["tokens"])
            raise BadArguments(
                f"--micro-batch-size {self._config.micro_batch_size} does not divide {count} samples"
            )

        def forward(iterator: Iterator[Batch], model: torch.nn.Module) -> tuple[Tensor, Any]:
            batch = next(iterator)
            if self._replay:
                self._replay.prepare(batch)
            weights = batch.on_tokens.get("mtp_weights")
            options = {} if weights is None or forward_only else {"mtp_weights": weights}
            return model(batch.tokens, batch.positions, None, **options), partial(after, batch)

        # Evaluation mode would change nothing: there is no dropout.
        with torch.set_grad_enabled(not forward_only):
            return get_forward_backward_func()(  # type: ignore[no-any-return]
                forward_step_func=forward,
                data_iterator=iter(micro),
                model=self.model,
                num_microbatches=len(micro),
                seq_length=self._width(data),
                micro_batch_size=len(micro[0].tokens),
                forward_only=forward_only,
                collect_non_loss_data=forward_only,
            )

    def _own_part(self, batch: Batch) -> Batch:
        """The places of this context-parallel rank."""
        if self._config.mtp_loss_weight and not self._objective.critic and "loss_weights" in batch.on_tokens:
            # A token's weight stands before it; the MTP layers want it at the token itself.
            moved = torch.nn.functional.pad(batch.on_tokens["loss_weights"][:, :-1], (1, 0))
            batch = replace(batch, on_tokens={**batch.on_tokens, "mtp_weights": moved})
        size = self._config.context_parallel
        if size == 1:
            return batch
        rank = parallel_state.get_context_parallel_rank()
        return batch.at(zigzag_positions(batch.tokens.shape[1], rank, size, batch.tokens.device))

    @property
    def _multiple(self) -> int:
        """Sequences divide by this: into chunks for context parallelism, then over tensor-parallel ranks."""
        context = self._config.context_parallel
        return self._config.tensor_parallel * (2 * context if context > 1 else 1)

    def _width(self, data: Data) -> int:
        return width_of(data, self._config, self._multiple)


def _added(ranks: list[list[dict[str, float]]]) -> tuple[float, dict[str, float]]:
    """The loss and the metrics, summed over ranks and micro batches."""
    totals: dict[str, float] = {}
    for share in (share for shares in ranks for share in shares):
        for name, value in share.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals.pop("loss"), totals
