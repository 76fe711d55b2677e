"""A reward for the tests of checkpoints, out of every random state that a checkpoint holds."""

import random

import numpy as np
import torch


async def noisy_reward(args, sample):  # noqa: ARG001
    """Every group learns from the first step on; a run that goes on with other random states learns otherwise."""
    return random.random() + float(np.random.random()) + float(torch.rand(()))


def keep_some(args, samples):  # noqa: ARG001
    """A dynamic filter that keeps six groups of ten: some are drawn too much, and wait in the buffer."""
    return sum(sample.reward for sample in samples) > 1.45 * len(samples)
