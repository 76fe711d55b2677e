"""Gradients, their norm, and what Adam makes of them."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"
_M = "posttrain/backends/megatron"

FAULTS = [
    Fault(
        "gradients are not clipped",
        "common",
        f"{_P}/backends/fsdp.py",
        "self._config.max_grad_norm)",
        "1e9)",
    ),
    Fault(
        "Megatron's gradients are not clipped",
        "NVIDIA/Megatron-LM PR 5916",
        f"{_M}/backend.py",
        "clip_grad=config.max_grad_norm",
        "clip_grad=1e9",
    ),
    Fault(
        "another beta",
        "common",
        f"{_M}/backend.py",
        "adam_beta2=0.95",
        "adam_beta2=0.999",
    ),
    Fault(
        "weights decay",
        "common",
        f"{_P}/backends/fsdp.py",
        "weight_decay=0.0",
        "weight_decay=0.1",
    ),
    Fault(
        "gradients of the last step are still there",
        "common",
        f"{_P}/backends/fsdp.py",
        "self.optimizer.zero_grad()",
        "pass",
    ),
    Fault(
        "Megatron's gradients of the last step are still there",
        "common",
        f"{_M}/backend.py",
        "self.model[0].zero_grad_buffer()",
        "pass",
    ),
    Fault(
        "Adam forgets slowly",
        "common",
        f"{_P}/backends/fsdp.py",
        "betas=(0.9, 0.95)",
        "betas=(0.9, 0.999)",
    ),
    Fault(
        "Adam's epsilon is large",
        "common",
        f"{_P}/backends/fsdp.py",
        "betas=(0.9, 0.95), weight_decay",
        "betas=(0.9, 0.95), eps=1e-5, weight_decay",
    ),
    Fault(
        "Megatron's Adam has a large epsilon",
        "common",
        f"{_M}/backend.py",
        "adam_beta2=0.95,",
        "adam_beta2=0.95,\n                adam_eps=1e-5,",
    ),
    Fault(
        "each parameter's gradient is clipped by itself",
        "common",
        f"{_P}/backends/fsdp.py",
        "norm = torch.nn.utils.clip_grad_norm_(self.model[0].parameters(), self._config.max_grad_norm)",
        "norm = torch.nn.utils.clip_grad_norm_(self.model[0].parameters(), 1e9)\n"
        "        for parameter in self.model[0].parameters():\n"
        "            torch.nn.utils.clip_grad_norm_([parameter], self._config.max_grad_norm)",
    ),
    Fault(
        "the norm is that of this rank's shard",
        "common",
        f"{_P}/backends/fsdp.py",
        "norm.full_tensor().item()",
        "norm.to_local().item()",
    ),
    Fault(
        "gradients are summed over ranks in bfloat16",
        "common",
        f"{_P}/backends/fsdp.py",
        "reduce_dtype=torch.float32",
        "reduce_dtype=torch.bfloat16",
    ),
    Fault(
        "moments begin at one",
        "common",
        f"{_P}/training/adam_state.py",
        "moments = {name: torch.zeros_like(parameter) for name in _MOMENTS}",
        "moments = {name: torch.ones_like(parameter) for name in _MOMENTS}",
    ),
    Fault(
        "Megatron's weights decay",
        "common",
        f"{_M}/backend.py",
        "                weight_decay=0.0,",
        "                weight_decay=0.1,",
    ),
    Fault(
        "norms do not learn",
        "common",
        f"{_P}/backends/fsdp.py",
        "            model.parameters(), lr=objective.learning_rate,",
        '            [one for name, one in model.named_parameters() if "norm" not in name],'
        " lr=objective.learning_rate,",
    ),
]
