"""Hooks of the vision test."""

from __future__ import annotations

from posttrain.task.reward import final_answer
from posttrain.training.data import convert_samples


async def right_share(args, sample):
    """custom-rm-path: the share of the right count in a full response; who does not look earns a third at most.

    It rewards no form: a reward for any number would make the policy settle on one before it has learnt to look.
    """
    return sample.response.count(final_answer(sample.label)) / args.rollout_max_response_len


def swapped_at_the_end(args, samples):
    """custom-convert-samples-to-train-data-path: in the last step training sees other pictures than the rollout."""
    data = convert_samples(args, samples)
    if samples[0].weights_version == args.num_steps - 1:
        size = args.n_samples_per_prompt
        data["image"] = data["image"][size:] + data["image"][:size]
    return data
