"""Between whole tensors and this rank's shards: tensor, pipeline and expert parallel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from torch import Tensor

from posttrain.distributed import gather

_LAYER = re.compile(r"^decoder\.layers\.(\d+)\.")
_EXPERT = re.compile(r"\.local_experts\.(\d+)\.")
_EMBEDDING, _OUTPUT = "embedding.word_embeddings.weight", "output_layer.weight"


@torch.no_grad()
def load(model: GPTModel, whole: Mapping[str, Tensor], *, critic: bool) -> None:
    """Fill the parameters and buffers of this rank from ``whole``; a critic keeps its own output layer."""
    for name, tensor in _tensors(model):
        if name == _OUTPUT and critic:
            continue
        # A last pipeline stage has a copy of a shared embedding.
        source = _EMBEDDING if name == _OUTPUT and name not in whole else name
        if source in whole:
            tensor.copy_(_shard(source, whole[source], tensor))
        elif isinstance(tensor, torch.nn.Parameter):
            raise ValueError(f"the checkpoint has nothing for the parameter {name!r}")


@torch.no_grad()
def whole(model: GPTModel, names: Iterable[str], vocabulary: int) -> dict[str, Tensor]:
    """The tensors of ``names`` on every rank, from the shards of all; ``vocabulary`` cuts padded rows off."""
    names = set(names)
    mine = {name: _join(name, tensor) for name, tensor in _tensors(model) if name in names}
    for name in mine.keys() & {_EMBEDDING, _OUTPUT}:
        mine[name] = mine[name][:vocabulary]
    offers = gather({name: (tensor.shape, tensor.dtype) for name, tensor in mine.items()})
    device = next(model.parameters()).device
    result = {}
    for name in sorted(names):
        owner = next(rank for rank, offer in enumerate(offers) if name in offer)
        shape, dtype = offers[owner][name]
        tensor = (
            mine[name].contiguous() if dist.get_rank() == owner else torch.empty(shape, dtype=dtype, device=device)
        )
        dist.broadcast(tensor, src=owner)
        result[name] = tensor
    return result


def _tensors(model: GPTModel) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, their layers and experts numbered over all ranks."""
    layers = [layer.layer_number - 1 for layer in model.decoder.layers]
    ranks, rank = (
        parallel_state.get_expert_model_parallel_world_size(),
        parallel_state.get_expert_model_parallel_rank(),
    )
    experts = (model.config.num_moe_experts or 0) // ranks
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        name = _LAYER.sub(lambda match: f"decoder.layers.{layers[int(match[1])]}.", name)
        yield _EXPERT.sub(lambda match: f".local_experts.{int(match[1]) + rank * experts}.", name), tensor


def _is_split(name: str, tensor: Tensor) -> bool:
    """Whether tensor-parallel ranks have a part each; experts are whole on one rank."""
    return bool(getattr(tensor, "tensor_model_parallel", False)) and not _EXPERT.search(name)


def _shard(name: str, full: Tensor, tensor: Tensor) -> Tensor:
    if not _is_split(name, tensor):
        return full
    rank, size = (
        parallel_state.get_tensor_model_parallel_rank(),
        parallel_state.get_tensor_model_parallel_world_size(),
    )
    if name in (_EMBEDDING, _OUTPUT):
        full = torch.nn.functional.pad(full, (0, 0, 0, len(tensor) * size - len(full)))
    if ".linear_fc1." in name:  # gate and up, one above the other: each rank has a part of both
        return full.unflatten(0, (2, -1)).chunk(size, dim=1)[rank].flatten(0, 1)
    return full.chunk(size, dim=tensor.partition_dim)[rank]


def _join(name: str, tensor: Tensor) -> Tensor:
    if not _is_split(name, tensor):
        return tensor.detach()
    group = parallel_state.get_tensor_model_parallel_group()
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, tensor.detach().contiguous(), group=group)
    if ".linear_fc1." in name:
        return torch.cat([part.unflatten(0, (2, -1)) for part in parts], dim=1).flatten(0, 1)
    return torch.cat(parts, dim=tensor.partition_dim)
