"""Where prompts come from: groups of samples for one replica, and its place in the data."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

from posttrain.arguments import BadArguments
from posttrain.hooks import load_function
from posttrain.sample import Sample
from posttrain.task.problems import Problem, read_problems


class DataSource:
    """Groups of ``args.n_samples_per_prompt`` samples, as many as asked for: the share of one replica."""

    def __init__(self, args: Any):
        self._args = args
        self._problems = read_problems(args.data_path)
        self._take = load_function(args.buffer_filter_path)
        self._draws = 0
        self._groups = 0
        self._buffer: list[list[Sample]] = []

    def get_samples(self, num_samples: int) -> list[list[Sample]]:
        """``num_samples`` groups: of those given back what the buffer filter takes, then new ones.

        The new ones depend on the draw alone.
        """
        args, size = self._args, self._args.n_samples_per_prompt
        again = self._take(args, args.rollout_id, self._buffer, num_samples) if self._buffer else []
        self._draws += 1
        count = (num_samples - len(again)) * args.world_size
        drawn = batch(self._problems, count, seed=args.seed, step=self._draws)
        first, self._groups = self._groups, self._groups + len(drawn)
        numbered = list(enumerate(drawn, first))[args.rank :: args.world_size]
        return again + [
            [
                Sample(group, group * size + number, problem.question, problem.answer, problem.image)
                for number in range(size)
            ]
            for group, problem in numbered
        ]

    def add_samples(self, samples: list[list[Sample]]) -> None:
        """Take groups back that were not used; generated ones keep their responses."""
        self._buffer += samples

    def save(self, rollout_id: int) -> None:
        """Write this replica's place, after ``rollout_id``, into the directory ``args.save``."""
        path = Path(self._args.save) / f"place_{rollout_id}_{self._args.rank:05}.pickle"
        path.write_bytes(pickle.dumps((self._draws, self._groups, self._buffer)))

    def load(self, rollout_id: int) -> None:
        """Go on from what the replicas saved in ``args.load``, as many as now or another number of them.

        :raises BadArguments: none did.
        """
        saved = sorted(Path(self._args.load).glob(f"place_{rollout_id}_*.pickle"))
        if not saved:
            raise BadArguments(f"{self._args.load} has no place in the data after step {rollout_id}")
        places = [pickle.loads(path.read_bytes()) for path in saved]
        own = places[self._args.rank :: self._args.world_size]
        alike = own if len(places) == self._args.world_size else places
        self._draws, self._groups = (max(place[part] for place in alike) for part in (0, 1))
        self._buffer = [group for place in own for group in place[2]]

    def __len__(self) -> int:
        return len(self._problems)


def batch(problems: list[Problem], count: int, *, seed: int, step: int) -> list[Problem]:
    """The problems of ``step``: a function of its arguments alone, so that a resumed run draws the same."""
    return random.Random(f"{seed} {step}").choices(problems, k=count)
