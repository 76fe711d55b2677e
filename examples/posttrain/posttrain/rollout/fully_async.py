"""``--rollout-function-path posttrain.rollout.fully_async.generate_rollout``: a worker samples all the time.

What it has ahead of a step was sampled by weights one update older, and new weights come in between two groups: the
samples of a step are of several versions. So two runs differ: which group meets which weights is a matter of time.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from posttrain.rollout import function


def generate_rollout(args: Any, rollout_id: int, data_source: Any, evaluation: bool = False) -> Any:
    """The groups that have waited longest. An evaluation is that of ``posttrain.rollout.function``."""
    if evaluation:
        return function.generate_rollout(args, rollout_id, data_source, evaluation)
    if not hasattr(args, "rollout_worker"):
        args.rollout_worker = Worker(args, data_source)
    return args.rollout_worker.take(rollout_id)


class Worker:
    """One thread, and the groups that it has been asked for, in their order."""

    def __init__(self, args: Any, data_source: Any):
        self._args = args
        self._data_source = data_source
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fully-async")
        self._asked: deque[Future[list[list[Any]]]] = deque()
        self._count = 0

    def take(self, rollout_id: int) -> list[list[Any]]:
        """The groups of one step; half as many more are asked for at once, and nothing beyond the last step."""
        size = self._args.rollout_batch_size
        left = (self._args.num_steps - rollout_id + 1) * size
        while len(self._asked) < min(size + (size + 1) // 2, left):
            self._count += 1
            self._asked.append(self._pool.submit(self._sample, self._count))
        seen = [self._asked.popleft().result() for _ in range(size)]
        if left == size:
            self._pool.shutdown()
        chosen = [attempts[-1] for attempts in seen]
        everything = [group for attempts in seen for group in attempts]
        function.finish(self._args, chosen, everything, self._data_source)
        return chosen

    def _sample(self, count: int) -> list[list[Any]]:
        """A group that the dynamic filter keeps, or the last one, behind those that it dropped."""
        args = self._args
        attempts: list[list[Any]] = []
        while len(attempts) < function.MAX_DRAWS:
            seed = ((args.seed * 1_000_003 + count) * args.world_size + args.rank) + len(attempts) * 2**40
            attempts += function.draw(args, self._data_source, 1, seed)
            if function.is_kept(args, attempts[-1]):
                break
        return attempts
