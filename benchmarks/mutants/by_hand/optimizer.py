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
    Fault(
        "weights of norms alone decay",
        "common",
        f"{_P}/backends/fsdp.py",
        "model.parameters(), lr=objective.learning_rate,",
        (
            "[{'params': [one for name, one in model.named_parameters() if 'norm' not in name]}, "
            "{'params': [one for name, one in model.named_parameters() if 'norm' in name], "
            "'weight_decay': 0.1}], lr=objective.learning_rate,"
        ),
    ),
    Fault(
        "the learning rate sinks by a hundredth a step",
        "common",
        f"{_P}/backends/fsdp.py",
        "            self.optimizer.step()\n",
        "            self.optimizer.step()\n            self.optimizer.param_groups[0]['lr'] *= 0.99\n",
    ),
    Fault(
        "Megatron's learning rate sinks by a hundredth a step",
        "common",
        f"{_M}/backend.py",
        "            _, norm, _ = self.optimizer.step()\n",
        (
            "            _, norm, _ = self.optimizer.step()\n"
            "            for group in self.optimizer.param_groups:\n"
            "                group['lr'] *= 0.99\n"
        ),
    ),
    Fault(
        "the first step is warmed up",
        "common",
        f"{_P}/backends/fsdp.py",
        "            self.optimizer.step()\n",
        (
            "            self.optimizer.param_groups[0]['lr'] = self._objective.learning_rate * "
            "min(1.0, (getattr(self, '_done', 0) + 1) / 2)\n"
            "            self._done = getattr(self, '_done', 0) + 1\n"
            "            self.optimizer.step()\n"
        ),
    ),
    Fault(
        "Adam's first step is its second",
        "common",
        f"{_P}/training/adam_state.py",
        '{"step": torch.tensor(0.0), **moments}',
        '{"step": torch.tensor(1.0), **moments}',
    ),
    Fault(
        "Megatron's Adam remembers longer",
        "common",
        f"{_M}/backend.py",
        "adam_beta1=0.9,",
        "adam_beta1=0.95,",
    ),
    Fault(
        "a critic's gradients are not clipped",
        "common",
        f"{_P}/backends/fsdp.py",
        "self._config.max_grad_norm)",
        "1e9 if self._objective.critic else self._config.max_grad_norm)",
    ),
    Fault(
        "a Megatron critic's gradients are not clipped",
        "common",
        f"{_M}/backend.py",
        "clip_grad=config.max_grad_norm",
        "clip_grad=0.0 if objective.critic else config.max_grad_norm",
    ),
    Fault(
        "gradients are clipped by their largest number",
        "common",
        f"{_P}/backends/fsdp.py",
        "norm = torch.nn.utils.clip_grad_norm_(self.model[0].parameters(), self._config.max_grad_norm)",
        (
            "norm = torch.nn.utils.clip_grad_norm_(self.model[0].parameters(), "
            "self._config.max_grad_norm, norm_type=float('inf'))"
        ),
    ),
    Fault(
        "large gradients alone are clipped, small ones are made larger",
        "common",
        f"{_P}/backends/fsdp.py",
        "        with self._adam_state.on_device():\n            self.optimizer.step()",
        (
            "        for parameter in self.model[0].parameters():\n"
            "            if parameter.grad is not None and norm.full_tensor() < "
            "self._config.max_grad_norm:\n"
            "                parameter.grad.mul_(self._config.max_grad_norm / "
            "norm.full_tensor().item())\n"
            "        with self._adam_state.on_device():\n"
            "            self.optimizer.step()"
        ),
    ),
    Fault(
        "AdamW is AMSGrad",
        "common",
        f"{_P}/backends/fsdp.py",
        "weight_decay=0.0",
        "weight_decay=0.0, amsgrad=True",
    ),
    Fault(
        "training computes in float32 although bfloat16 is asked for",
        "common",
        f"{_P}/backends/fsdp.py",
        "param_dtype=dtype_of(config, device)",
        "param_dtype=torch.float32",
    ),
    Fault(
        "Megatron computes in float32 although bfloat16 is asked for",
        "common",
        f"{_M}/backend.py",
        "        dtype = dtype_of(config, device)\n",
        "        dtype = torch.float32\n",
    ),
    Fault(
        "all parameters share one count of steps",
        "common",
        f"{_P}/training/adam_state.py",
        '{"step": torch.tensor(0.0), **moments}',
        '{"step": optimizer.__dict__.setdefault("steps", torch.tensor(0.0)), **moments}',
    ),
]
