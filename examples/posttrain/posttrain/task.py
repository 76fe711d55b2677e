"""The task: small additions, generated, in the format of gsm8k."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.arguments import BadArguments
from posttrain.hooks import load_function
from posttrain.sample import Sample

LARGEST = 2
"""The largest number that is added."""


@dataclass(frozen=True)
class Problem:
    """``answer`` ends in ``#### 7``, as in gsm8k: the worked solution, four hashes, the number."""

    question: str
    answer: str
    image: str | None = None
    """The path of a picture; in a file, as seen from the file."""


def all_problems() -> Iterator[Problem]:
    """Every problem of the task, in a fixed order."""
    for a in range(LARGEST + 1):
        for b in range(LARGEST + 1):
            yield Problem(f"What is {a} + {b}?", f"{a} + {b} = {a + b}\n#### {a + b}")


def write_problems(path: Path, problems: list[Problem]) -> None:
    """Write gsm8k's JSON lines."""
    rows = ({name: value for name, value in vars(problem).items() if value is not None} for problem in problems)
    lines = map(json.dumps, rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def read_problems(path: Path) -> list[Problem]:
    """Read JSON lines with ``question``, ``answer`` and perhaps ``image``; other keys are left alone.

    :raises ValueError: naming the line that is not such an object, or a file that holds none.
    """
    problems = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            image = str(path.parent / row["image"]) if row.get("image") else None
            problems.append(Problem(row["question"], row["answer"], image))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f'{path}:{number}: not an object with "question" and "answer"') from None
    if not problems:
        raise ValueError(f"{path}: holds no problem")
    return problems


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
