"""The checks of hooks that handle tensors. They run where torch is installed.

torch is found by name at run time: nothing of trainci depends on it.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

from trainci.contracts.contract import Hook, Violation
from trainci.contracts.slime.stand_ins import arguments

TOTAL_LENGTHS, RESPONSE_LENGTHS = [5, 4], [3, 2]
VOCABULARY = 11
_SAMPLE = f"a batch of 2 samples, total_lengths={TOTAL_LENGTHS}, response_lengths={RESPONSE_LENGTHS}"


def _torch() -> Any:
    return importlib.import_module("torch")


def batch() -> dict[str, Any]:
    """Two samples as training sees them: for each key a list with one entry a sample."""
    torch = _torch()
    generator = torch.Generator().manual_seed(0)

    def responses(low: float, high: float) -> list[Any]:
        return [torch.empty(length).uniform_(low, high, generator=generator) for length in RESPONSE_LENGTHS]

    return {
        "tokens": [torch.arange(length) % VOCABULARY for length in TOTAL_LENGTHS],
        "unconcat_tokens": [torch.arange(length) % VOCABULARY for length in TOTAL_LENGTHS],
        "total_lengths": list(TOTAL_LENGTHS),
        "response_lengths": list(RESPONSE_LENGTHS),
        "loss_masks": [torch.tensor([1, 1, 0]), torch.tensor([1, 1])],
        "advantages": responses(-1, 1),
        "returns": responses(-1, 1),
        "log_probs": responses(-3, -1),
        "rollout_log_probs": responses(-3, -1),
        "rewards": [1.0, 0.0],
        "raw_reward": [1.0, 0.0],
        "truncated": [0, 1],
        "sample_indices": [0, 1],
    }


def sum_of_sample_mean(values: Any) -> Any:
    """[sum of response lengths] → scalar: each sample's mean over its unmasked tokens, summed."""
    masks = batch()["loss_masks"]
    parts = zip(values.split(RESPONSE_LENGTHS), masks, strict=True)
    return sum((part * mask).sum() / mask.sum().clamp(min=1) for part, mask in parts)


def loss(hook: Hook) -> None:
    """A finite scalar whose gradient reaches the logits, and metrics."""
    torch = _torch()
    logits = torch.randn(
        1, sum(TOTAL_LENGTHS), VOCABULARY, generator=torch.Generator().manual_seed(1), requires_grad=True
    )
    answer = hook.call(arguments(hook), batch(), logits, sum_of_sample_mean, sample=_SAMPLE)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Violation(f"returned {type(answer).__name__}, not a pair (loss, metrics)", _SAMPLE)
    value, metrics = answer
    _expect_scalar(value, "the loss")
    if not value.requires_grad:
        raise Violation("the loss has no gradient: it does not depend on the logits", _SAMPLE)
    hook.run(lambda: value.backward(), _SAMPLE)
    if logits.grad is None or not logits.grad.isfinite().all() or not logits.grad.any():
        raise Violation("the gradient of the loss by the logits is missing, zero or not finite", _SAMPLE)
    _expect_metrics(metrics)


def importance_sampling(hook: Hook) -> None:
    """The loss of each token, reweighted; the masks, whose shapes stay; metrics."""
    torch = _torch()
    data = batch()
    given = torch.linspace(-1, 1, sum(RESPONSE_LENGTHS), requires_grad=True)
    answer = hook.call(
        args=arguments(hook),
        pg_loss=given,
        train_log_probs=data["log_probs"],
        rollout_log_probs=data["rollout_log_probs"],
        loss_masks=data["loss_masks"],
        total_lengths=data["total_lengths"],
        response_lengths=data["response_lengths"],
        sample=_SAMPLE,
    )
    if not isinstance(answer, tuple) or len(answer) != 3:
        raise Violation(f"returned {type(answer).__name__}, not (pg_loss, loss_masks, metrics)", _SAMPLE)
    weighted, masks, metrics = answer
    if getattr(weighted, "shape", None) != given.shape:
        raise Violation(f"pg_loss came back as {_shape(weighted)}, not {_shape(given)}", _SAMPLE)
    if not weighted.isfinite().all() or not weighted.requires_grad:
        raise Violation("pg_loss came back not finite, or cut off from its gradient", _SAMPLE)
    if list(map(_shape, masks)) != list(map(_shape, data["loss_masks"])):
        raise Violation(
            f"loss_masks came back as {list(map(_shape, masks))}, one shape a sample must stay", _SAMPLE
        )
    _expect_metrics(metrics)


def loss_reducer(hook: Hook) -> None:
    """A function from the loss of each token to a scalar."""
    torch = _torch()
    for per_token in (False, True):
        reducer = hook.call(
            list(TOTAL_LENGTHS), list(RESPONSE_LENGTHS), batch()["loss_masks"], per_token, sample=_SAMPLE
        )
        if not callable(reducer):
            raise Violation(f"returned {type(reducer).__name__}, not a function of the tokens' losses", _SAMPLE)
        reduced = hook.run(partial(reducer, torch.ones(sum(RESPONSE_LENGTHS))), _SAMPLE)
        _expect_scalar(reduced, "what the reducer returned")


def rollout_data(hook: Hook) -> None:
    """Changes the data of a rollout in place; each key keeps one entry a sample, of its length."""
    data = batch()
    answer = hook.call(arguments(hook), 3, data, sample=_SAMPLE)
    if answer is not None:
        raise Violation(f"returned {type(answer).__name__}: the trainer ignores it, so change the data in place")
    for key, before in batch().items():
        now = data.get(key)
        if not isinstance(now, list) or list(map(_shape, now)) != list(map(_shape, before)):
            raise Violation(f"{key!r} was dropped, or its entries changed their number or shape", _SAMPLE)


def _expect_scalar(value: Any, name: str) -> None:
    if _shape(value) != () or not hasattr(value, "isfinite"):
        raise Violation(f"{name} is {type(value).__name__} of shape {_shape(value)}, not a scalar tensor", _SAMPLE)
    if not value.isfinite():
        raise Violation(f"{name} is {value.item()}", _SAMPLE)


def _expect_metrics(metrics: Any) -> None:
    if not isinstance(metrics, dict) or not all(isinstance(key, str) for key in metrics):
        raise Violation(f"metrics is {type(metrics).__name__}, not a dict by name", _SAMPLE)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))
