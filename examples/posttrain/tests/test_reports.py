"""What a run reports."""

from __future__ import annotations

import pytest
import torch
from posttrain.arguments import BadArguments
from posttrain.metrics import MetricsFile, digest
from posttrain.rollout.sampler import over_ranks

NUM_GPUS = 0


def test_what_is_reported_is_of_all_ranks():
    told = {"logged": False, "reward": 1.0, "oldest": 3, "newest": 4, "count": 8}
    other = {**told, "reward": 0.5, "oldest": 2, "newest": 5}
    for ranks in ([told, other], [other, told]):
        expected = {"reward": 0.75, "rollout_version": 2, "rollout_version_max": 5}
        assert over_ranks(ranks, 1) == expected
    assert over_ranks([told, {**other, "logged": True}], 1) == {}
    fewer = [told, {**other, "count": 7}]
    assert over_ranks(fewer, 0)["reward"] == 0.75
    with pytest.raises(BadArguments, match=r"replicas made \[7, 8\] samples"):
        over_ranks(fewer, 1)


def test_a_digest_tells_the_last_bit_of_every_tensor_and_its_name():
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0])}
    same = {"b": torch.tensor([3.0]), "a": torch.tensor([1.0, 2.0])}
    assert digest(weights) == digest(same)
    others = []
    for name, place in (("a", 0), ("a", 1), ("b", 0)):
        other = {key: value.clone() for key, value in weights.items()}
        other[name][place] = torch.nextafter(other[name][place], torch.tensor(9.0))
        others.append(digest(other))
    others += [digest({"a": weights["a"], "c": weights["b"]}), digest({"a": weights["a"]}), digest(weights)]
    assert len(set(others)) == len(others)


def test_metrics_begin_anew_and_are_seen_at_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("of a run before")
    metrics = MetricsFile(path)
    metrics.write({"step": 1})
    metrics.write({"step": 2})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
