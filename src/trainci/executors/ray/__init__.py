"""Runs each test as a job of a Ray cluster, by its Jobs API: submitted over HTTP to the cluster's dashboard.

Ray keeps a job by an id that we choose: what was submitted once is never submitted again.
"""

from __future__ import annotations

from trainci.executors.ray.executor import RayExecutor, ray_executor

__all__ = ["RayExecutor", "ray_executor"]
