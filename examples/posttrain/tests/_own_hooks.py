"""Hooks that the tests give to the example's trainer: each notes its call, and its answer shows in the metrics."""

from __future__ import annotations

import copy
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from posttrain import hooks
from posttrain.rollout import function
from posttrain.sample import members
from posttrain.task import data_source
from posttrain.training import data, losses

BEGAN = time.monotonic()


def called(hook: str, **seen: Any) -> None:
    with Path(os.environ["CALLS"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"hook": hook, **seen}) + "\n")


def groups_of(samples: list[Any]) -> list[int]:
    return sorted({sample.group_index for sample in members(samples)})


# What the samples go through. In the first step group 0 is dropped, so that more are drawn than trained on.


class Source(data_source.DataSource):
    def get_samples(self, num_samples):
        called("source", asked=num_samples)
        groups = super().get_samples(num_samples)
        for sample in (sample for group in groups for sample in members(group)):
            sample.metadata["source"] = "own"
        return groups


def take_last(args, rollout_id, buffer, num_samples):
    called("buffer", rollout=rollout_id, waiting=[groups_of(group)[0] for group in buffer])
    return [buffer.pop()]


def rollout(args, rollout_id, data_source, evaluation=False):
    called("rollout", rollout=rollout_id)
    groups = function.generate_rollout(args, rollout_id, data_source, evaluation)
    return SimpleNamespace(samples=groups, metrics={"from_rollout": 5.0})


async def generate(args, sample, sampling_params):
    """Two samples of each prompt with an even number."""
    called("generate", source=sample.metadata.get("source"), seed=sampling_params["sampling_seed"])
    sample = await hooks.generate_with_retry(args, sample, sampling_params)
    return sample if sample.index % 2 else [sample, copy.deepcopy(sample)]


async def generate_late(args, sample, sampling_params):
    """The last sample of a step comes seconds after the others."""
    if sample.index % 8 == 7:
        time.sleep(4)
    args.rollout_engine.generate([sample], seed=sampling_params["sampling_seed"])
    return sample


async def reward(args, sample):
    called("reward")
    return 3.0 + sample.index % 2


async def group_reward(args, samples):
    called("group reward", samples=len(samples))
    return [float(number) for number, _ in enumerate(samples)]


def keep_all_but_the_first(args, samples):
    called("filter", samples=len(samples))
    return SimpleNamespace(keep=groups_of(samples) != [0], reason="first")


def keep(args, samples):
    called("filter", samples=len(samples))
    return groups_of(samples) != [0]


def remove_last_group(args, groups):
    called("sample filter", groups=[groups_of(group)[0] for group in groups])
    for sample in groups[-1]:
        sample.remove_sample = True


def process_all(args, all_groups, data_source):
    called("all samples", groups=[groups_of(group)[0] for group in all_groups], source=type(data_source).__name__)


def log_rollout(rollout_id, args, samples, rollout_extra_metrics, rollout_time):
    called(
        "log", rollout=rollout_id, groups=groups_of(samples), samples=len(samples), metrics=rollout_extra_metrics
    )
    assert 0 < rollout_time < time.monotonic() - BEGAN
    return os.environ["LOGGED"] == "yes"


def evaluate(args, rollout_id, data_source, evaluation=False):
    called("evaluation", rollout=rollout_id, evaluation=evaluation, version=args.rollout_engine.version)
    return SimpleNamespace(data={"mine": {"rewards": [0.25, 0.75]}}, metrics={"eval/extra": 2.0})


def log_evaluation(rollout_id, args, data, extra_metrics):
    called("evaluation log", rollout=rollout_id, data=sorted(data), metrics=extra_metrics)
    return os.environ["LOGGED"] == "yes"


# What the learner does with them.


def convert(args, samples):
    called("convert", samples=len(samples))
    return {**data.convert_samples(args, samples), "from_convert": [len(samples)] * len(samples)}


def post_process_rewards(args, samples):
    called("rewards")
    return [sample.reward for sample in samples], [7.0 + sample.reward for sample in samples]


def postprocess(args, rollout_id, rollout_data):
    """Only the first sample learns."""
    called(
        "postprocess",
        rollout=rollout_id,
        advantages=sorted({float(row[0]) for row in rollout_data["advantages"]}),
        converted=rollout_data.get("from_convert"),
        removed=sum(not mask.any() for mask in rollout_data["loss_masks"]),
    )
    first, *others = rollout_data["loss_masks"]
    rollout_data["loss_masks"] = [first, *(mask * 0 for mask in others)]


def loss(args, batch, logits, sum_of_sample_mean):
    called("loss")
    value, metrics = losses.reinforce_loss(args, batch, logits, sum_of_sample_mean)
    return value, {**metrics, "from_loss": 0.25 * len(batch["response_lengths"])}


def importance_sampling(*, args, pg_loss, train_log_probs, rollout_log_probs, loss_masks, **lengths):
    """Each token costs 3, and the first of each response counts."""
    called(
        "tis",
        lengths=sorted(lengths),
        gap=float(abs(torch.cat(train_log_probs) - torch.cat(rollout_log_probs)).max()),
    )
    masks = [torch.arange(len(mask)) < 1 for mask in loss_masks]
    return pg_loss * 0 + 3, masks, {"from_tis": 4.0 * len(masks)}


def loss_reducer(total_lengths, response_lengths, loss_masks, calculate_per_token_loss):
    prompts = [total - own for total, own in zip(total_lengths, response_lengths, strict=True)]
    called("reducer", per_token=calculate_per_token_loss, shortest_prompt=min(prompts))
    return lambda losses: losses.sum()


def megatron_init(args):
    called("init", seed=args.seed)


def before_log_prob(args, model, store_prefix):
    """Trains on other weights than the rollout had, in the first step."""
    called("before log prob", prefix=store_prefix)
    if "MOVED" not in os.environ:
        os.environ["MOVED"] = "yes"
        with torch.no_grad():
            for value in model[0].parameters():
                value *= 1.5


def before_train_step(args, rollout_id, step_id, model, optimizer, opt_param_scheduler):
    """The second step moves nothing."""
    called("before train step", rollout=rollout_id, step=step_id, modules=len(model))
    if rollout_id == 2:
        optimizer.param_groups[0]["lr"] = 0.0
