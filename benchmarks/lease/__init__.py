"""The lease, measured against what else holds GPUs on a host. ``python -m benchmarks.lease`` prints one table."""
