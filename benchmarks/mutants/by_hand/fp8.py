"""Weights that the rollout rounds."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"

FAULTS = [
    Fault(
        "one scale for a whole tensor",
        "vllm-project/vime PR 133",
        f"{_P}/rollout/fp8.py",
        "weight.abs().amax(dim=-1, keepdim=True)",
        "weight.abs().amax()",
    ),
    Fault(
        "e5m2 for e4m3",
        "THUDM/slime issue 1679",
        f"{_P}/rollout/fp8.py",
        ".to(torch.float8_e4m3fn)",
        ".to(torch.float8_e5m2)",
    ),
    Fault(
        "routers are rounded, too",
        "THUDM/slime issue 1679",
        f"{_P}/rollout/fp8.py",
        '"norm", "gate.weight", "router"',
        '"norm", "router"',
    ),
    Fault(
        "scales by input channel",
        "vllm-project/vllm PR 45835",
        f"{_P}/rollout/fp8.py",
        "amax(dim=-1, keepdim=True)",
        "amax(dim=-2, keepdim=True)",
    ),
    Fault(
        "the largest number scales, and not the largest magnitude",
        "common",
        f"{_P}/rollout/fp8.py",
        "weight.abs().amax",
        "weight.amax",
    ),
    Fault(
        "weights are not scaled back",
        "common",
        f"{_P}/rollout/fp8.py",
        "weight.dtype) * scale",
        "weight.dtype)",
    ),
    Fault(
        "the largest number is that of another e4m3",
        "THUDM/slime PR 109",
        f"{_P}/rollout/fp8.py",
        "torch.finfo(torch.float8_e4m3fn).max",
        "240.0",
    ),
    Fault(
        "experts are left as they are",
        "nvidia-cosmos/cosmos-rl PR 58",
        f"{_P}/rollout/fp8.py",
        '"gate.weight", "router"',
        '"gate.weight", "router", "experts"',
    ),
    Fault(
        "scales are powers of two",
        "common",
        f"{_P}/rollout/fp8.py",
        ".clamp(min=1e-12) / largest",
        ".clamp(min=1e-12).div(largest).log2().ceil().exp2()",
    ),
    Fault(
        "the output layer is rounded, too",
        "common",
        f"{_P}/rollout/fp8.py",
        '"lm_head", ',
        "",
    ),
    Fault(
        "a row of zeros is no number",
        "common",
        f"{_P}/rollout/fp8.py",
        ".clamp(min=1e-12)",
        "",
    ),
]
