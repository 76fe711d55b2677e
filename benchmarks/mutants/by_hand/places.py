"""Which number belongs to which token."""

from __future__ import annotations

from benchmarks.mutants.by_hand.fault import Fault

_P = "posttrain"
_M = "posttrain/backends/megatron"

FAULTS = [
    Fault(
        "the loss mask is shifted by a token",
        "modelscope/ms-swift PR 8427",
        f"{_P}/training/data.py",
        "spread[row, start:end] = values[row]",
        "spread[row, start + 1:end + 1] = values[row]",
    ),
    Fault(
        "log-probabilities are read a token late",
        "modelscope/ms-swift PR 8427",
        f"{_P}/training/data.py",
        "yield total - response - 1, total - 1",
        "yield total - response, total",
    ),
    Fault(
        "the mask of a sample is lost",
        "THUDM/slime issue 1563",
        f"{_P}/training/data.py",
        "sample.loss_mask or [1] * sample.response_length",
        "[1] * sample.response_length",
    ),
    Fault(
        "samples that were removed learn",
        "THUDM/slime PR 1445",
        f"{_P}/training/data.py",
        "[0] * len(mask) if sample.remove_sample else mask",
        "mask",
    ),
    Fault(
        "targets are the tokens themselves",
        "huggingface/trl PR 2708",
        f"{_P}/training/data.py",
        "tokens[:, 1:], (0, 1)",
        "tokens, (0, 0)",
    ),
    Fault(
        "the last micro-batch alone learns",
        "verl-project/verl PR 3332",
        f"{_P}/backends/fsdp.py",
        "            (loss * dist.get_world_size()).backward()",
        "            self.optimizer.zero_grad(); (loss * dist.get_world_size()).backward()",
    ),
    Fault(
        "the teacher's log-probabilities are a token early",
        "common",
        f"{_P}/rollout/distillation.py",
        "answer[len(sample.tokens) - sample.response_length :]",
        "answer[len(sample.tokens) - sample.response_length - 1 : -1]",
    ),
    Fault(
        "micro-batches come back in another order",
        "thunlp/JustRL issue 5",
        f"{_M}/backend.py",
        "scores = torch.cat(spread) if",
        "scores = torch.cat(spread[::-1]) if",
    ),
    Fault(
        "FSDP's micro-batches come back in another order",
        "thunlp/JustRL issue 5",
        f"{_P}/backends/fsdp.py",
        "            scores += from_places(self._objective.scores(self._forward(batch), batch), batch.data)",
        "            scores = from_places(self._objective.scores(self._forward(batch), batch),"
        " batch.data) + scores",
    ),
]
