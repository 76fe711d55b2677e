"""A reward for the tests of checkpoints, out of every random state that a checkpoint holds."""

import random

import numpy as np
import torch


async def noisy_reward(args, sample):
    """Every group learns from the first step on; a run that goes on with other random states learns otherwise."""
    return random.random() + float(np.random.random()) + float(torch.rand(()))


def keep_some(args, samples):
    """A dynamic filter that drops every third group, so that more are drawn than trained on: some always wait."""
    return samples[0].group_index % 3 > 0
