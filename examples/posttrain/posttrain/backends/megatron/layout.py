"""Which rank holds what: Megatron's process groups for a run."""

from __future__ import annotations

import torch.distributed as dist
from megatron.core import parallel_state, tensor_parallel
from transformers import PretrainedConfig

from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Replica
from posttrain.distributed import gather
from posttrain.model import experts_of


def start(config: Config, hf_config: PretrainedConfig) -> Replica:
    """Make Megatron's groups, once a process, and find this rank's replica.

    :raises BadArguments: the ranks, or the model, do not divide as ``config`` asks.
    """
    if not parallel_state.model_parallel_is_initialized():
        check(config, hf_config.get_text_config(), dist.get_world_size())
        parallel_state.initialize_model_parallel(
            tensor_model_parallel_size=config.tensor_parallel,
            pipeline_model_parallel_size=config.pipeline_parallel,
            context_parallel_size=config.context_parallel,
            expert_model_parallel_size=config.expert_parallel,
            expert_tensor_parallel_size=1,
        )
        # On a GPU, sequence parallelism asks for random states of its own, even where nothing is drawn from them.
        tensor_parallel.model_parallel_cuda_manual_seed(config.seed)
    replica = parallel_state.get_data_parallel_rank()
    ranks = gather(replica)
    members = [[rank for rank, index in enumerate(ranks) if index == number] for number in range(max(ranks) + 1)]
    # Of their own, and gloo: rollouts are shared by a thread beside the training.
    group, _ = dist.new_subgroups_by_enumeration(members, backend="gloo")
    return Replica(replica, len(members), group if len(members[replica]) > 1 else None, members[replica][0])


def check(config: Config, model: PretrainedConfig, world: int) -> None:
    """:raises BadArguments: ``world`` ranks, or the model, do not divide as ``config`` asks."""
    one_copy = config.tensor_parallel * config.pipeline_parallel * config.context_parallel
    if world % one_copy:
        raise BadArguments(
            f"{world} ranks do not divide into copies of {config.tensor_parallel} tensor x "
            f"{config.pipeline_parallel} pipeline x {config.context_parallel} context parallel ranks"
        )
    for flag, size, of, what in (
        ("tensor", config.tensor_parallel, model.num_key_value_heads, "key-value heads"),
        ("pipeline", config.pipeline_parallel, model.num_hidden_layers, "layers"),
        ("expert", config.expert_parallel, experts_of(model), "experts"),
        ("expert", config.expert_parallel, world // config.pipeline_parallel, "ranks of a pipeline stage"),
    ):
        if of % size:
            raise BadArguments(f"--{flag}-parallel {size} does not divide the {of} {what}")
