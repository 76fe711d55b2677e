"""Rollouts that no policy sampled: every term of the loss has something to do on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _network import Network
from reference import sampling

LONGEST = 5
UNEVEN, EVEN = (3, 5) * 4, (4,) * 8
"""Sizes of groups. Under the even ones, no token stands between two experts: float32 would send it elsewhere."""


def write(directory: Path, model_path: Path, *, temperature: float, replicas: int, sizes: Sequence[int]) -> None:
    """Three steps; the second learns once more from what the first did.

    Groups differ in size and responses in length, some of their tokens do not learn, one sample is left out, and
    what sampled them was some way off the policy: further than the clips allow.
    """
    directory.mkdir(parents=True)
    network = Network(model_path)
    first, last = (_samples(network, temperature, seed, sizes) for seed in (1, 2))
    for step, samples in ((1, first), (2, first), (3, last)):
        share = len(samples) // replicas
        for replica in range(replicas):
            own = samples[replica * share : (replica + 1) * share]
            path = directory / f"step-{step}-replica-{replica + 1}-of-{replicas}.pt"
            torch.save({"samples": own, "metrics": {}, "seconds": 0.0}, path)


def _samples(network: Network, temperature: float, seed: int, sizes: Sequence[int]) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    vocabulary = network.config.get_text_config().vocab_size
    samples: list[dict[str, Any]] = []
    for group, size in enumerate(sizes):
        prompt = [chance.randrange(2, vocabulary) for _ in range(4 + group % 3)]
        for _ in range(size):
            length = chance.randint(1, LONGEST)
            samples.append(
                {
                    "group_index": group,
                    "index": len(samples),
                    "prompt": "",
                    "label": "",
                    "image": None,
                    "tokens": prompt + [chance.randrange(vocabulary) for _ in range(length)],
                    "response": "",
                    "response_length": length,
                    "loss_mask": None
                    if len(samples) == 7 and sizes == UNEVEN
                    else [1, *(int(chance.random() < 0.7) for _ in range(length - 1))],
                    "routed_experts": None,
                    "teacher_log_probs": [-16 * chance.random() for _ in range(length)],
                    "weights_version": 0,
                    "status": "truncated",
                    "reward": chance.random(),
                    "remove_sample": len(samples) == 5,
                    "metadata": {},
                }
            )
    with torch.no_grad():
        outputs = network.outputs(samples)
    for sample, output in zip(samples, outputs, strict=True):
        exact = sampling.log_probs(output, sample["tokens"], sample["response_length"], temperature)
        sample["rollout_log_probs"] = [float(one) + chance.gauss(0, 0.4) for one in exact]
    return samples
