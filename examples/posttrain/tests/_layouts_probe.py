"""On 2 ranks of torchrun: gradients of each family in Megatron's layouts, against transformers' on one rank.

Writes as JSON, for each family and layout, the largest difference relative to the largest gradient of its tensor.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from _families_probe import mtp_loss, random_model, whole_state
from posttrain.backends.megatron import cpu
from torch import Tensor
from transformers import PreTrainedModel

cpu.install()

from megatron.core import parallel_state  # noqa: E402
from megatron.core.distributed import (  # noqa: E402
    DistributedDataParallel,
    DistributedDataParallelConfig,
    finalize_model_grads,
)
from megatron.core.pipeline_parallel import get_forward_backward_func  # noqa: E402
from posttrain.backends.megatron import weights  # noqa: E402
from posttrain.backends.megatron.attention import zigzag_positions  # noqa: E402
from posttrain.backends.megatron.build import build_model, transformer_config  # noqa: E402
from posttrain.backends.megatron.convert import to_megatron  # noqa: E402

LAYOUTS = {
    "tensor": {"tp": 2},
    "pipeline": {"pp": 2},
    "context": {"cp": 2},
    "data": {},
}
EXPERT_LAYOUTS = {
    "expert": {"ep": 2},
    "tensor+expert": {"tp": 2, "ep": 2},
    "context+expert": {"cp": 2, "ep": 2},
    "expert, allgather": {"ep": 2, "dispatcher": "allgather"},
    "tensor+expert, allgather": {"tp": 2, "ep": 2, "dispatcher": "allgather"},
}
TOKENS = torch.randint(61, (2, 16), generator=torch.Generator().manual_seed(1))
MTP_WEIGHTS = torch.rand(2, 16, generator=torch.Generator().manual_seed(2))


def loss_of(logits: Tensor, tokens: Tensor) -> Tensor:
    """Some sum over tokens that needs no neighbour."""
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="sum")


def reference_gradients(reference: PreTrainedModel) -> dict[str, Tensor]:
    loss_of(reference(TOKENS).logits, TOKENS).backward()
    config = transformer_config(reference.config)
    if config.mtp_num_layers:
        (config.mtp_loss_scaling_factor * mtp_loss(reference, TOKENS, MTP_WEIGHTS)).backward()
    zeros = {name: torch.zeros_like(tensor) for name, tensor in whole_state(reference).items()}
    learned = {name: value.grad for name, value in reference.named_parameters() if value.grad is not None}
    return to_megatron({**zeros, **learned}, reference.config)


def gap(reference: PreTrainedModel, expected: dict[str, Tensor], **layout: object) -> float:
    ways = {way: layout.get(way, 1) for way in ("tp", "pp", "cp", "ep")}
    parallel_state.initialize_model_parallel(
        ways["tp"],
        ways["pp"],
        context_parallel_size=ways["cp"],
        expert_model_parallel_size=ways["ep"],
        expert_tensor_parallel_size=1,
    )
    config = transformer_config(reference.config, **layout)
    stages = {
        "pre_process": parallel_state.is_pipeline_first_stage(),
        "post_process": parallel_state.is_pipeline_last_stage(),
    }
    model, gradients = (build_model(reference.config, config, **stages) for _ in range(2))
    state = to_megatron(whole_state(reference), reference.config)
    weights.load(model, state, critic=False)
    names = [name for name in state if not name.startswith("model.visual.")]
    handed_over = weights.whole(model, names, reference.config.get_text_config().vocab_size)
    changed = [name for name in names if not torch.equal(handed_over[name], state[name])]
    if changed:
        print(layout, "hands over other weights than it loaded:", changed, file=sys.stderr)
    weights.load(gradients, expected, critic=False)
    ddp = DistributedDataParallel(config, DistributedDataParallelConfig(), model)
    config.finalize_model_grads_func = lambda chunks, _tokens, **groups: finalize_model_grads(
        chunks, None, **groups
    )
    places = zigzag_positions(16, parallel_state.get_context_parallel_rank(), ways["cp"])
    replica, replicas = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
    own, mtp_weights = (whole.chunk(replicas)[replica][:, places] for whole in (TOKENS, MTP_WEIGHTS))
    mtp = {"mtp_weights": mtp_weights} if config.mtp_num_layers else {}

    def forward(_batches: object, chunk: torch.nn.Module):
        logits = chunk(own, places.expand_as(own), None, **mtp)
        return logits, lambda output: (loss_of(output, own), torch.ones((), dtype=torch.int), {})

    get_forward_backward_func()(
        forward_step_func=forward,
        data_iterator=None,
        model=[ddp],
        num_microbatches=1,
        seq_length=16,
        micro_batch_size=len(own),
        forward_only=False,
    )
    worst = float("inf") if changed else 0.0
    for (name, value), (_, true) in zip(model.named_parameters(), gradients.named_parameters(), strict=True):
        worst = max(worst, ((value.main_grad - true).abs().max() / true.abs().max().clamp(min=1e-3)).item())
        if worst > 1e-3:
            print(layout, name, worst, file=sys.stderr)
            break
    parallel_state.destroy_model_parallel()
    worst = torch.tensor(worst)
    dist.all_reduce(worst, op=dist.ReduceOp.MAX)
    return worst.item()


if __name__ == "__main__":
    dist.init_process_group("gloo")
    gaps: dict[str, dict[str, float]] = {}
    for family in sys.argv[2:]:
        reference = random_model(family)
        expected = reference_gradients(reference)
        sparse = any("experts" in name for name in expected)
        layouts = LAYOUTS | EXPERT_LAYOUTS if sparse else LAYOUTS
        gaps[family] = {name: gap(reference, expected, **layout) for name, layout in layouts.items()}
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(gaps))
    dist.destroy_process_group()
