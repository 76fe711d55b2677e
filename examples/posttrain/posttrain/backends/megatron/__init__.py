"""NVIDIA Megatron-Core: tensor, pipeline, context, expert and data parallelism."""
