"""A small, real reinforcement-learning post-training package: GRPO on torch.distributed."""
