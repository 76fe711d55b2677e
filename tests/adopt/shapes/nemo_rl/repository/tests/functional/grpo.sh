# NUM_GPUS = 2
uv run python examples/run.py
