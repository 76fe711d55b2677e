"""The task: small additions, generated, in the format of gsm8k."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from posttrain.sample import Sample

LARGEST = 2
"""The largest number that is added."""


@dataclass(frozen=True)
class Problem:
    """``answer`` ends in ``#### 7``, as in gsm8k: the worked solution, four hashes, the number."""

    question: str
    answer: str


def all_problems() -> Iterator[Problem]:
    """Every problem of the task, in a fixed order."""
    for a in range(LARGEST + 1):
        for b in range(LARGEST + 1):
            yield Problem(f"What is {a} + {b}?", f"{a} + {b} = {a + b}\n#### {a + b}")


def write_problems(path: Path, problems: list[Problem]) -> None:
    """Write gsm8k's JSON lines."""
    lines = (json.dumps({"question": problem.question, "answer": problem.answer}) for problem in problems)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def read_problems(path: Path) -> list[Problem]:
    """Read JSON lines with ``question`` and ``answer``; other keys are left alone.

    :raises ValueError: naming the line that is not such an object, or a file that holds none.
    """
    problems = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            problems.append(Problem(row["question"], row["answer"]))
        except (ValueError, KeyError, TypeError):
            raise ValueError(f'{path}:{number}: not an object with "question" and "answer"') from None
    if not problems:
        raise ValueError(f"{path}: holds no problem")
    return problems


class DataSource:
    """``--prompts-per-step`` prompts at a time, in groups of ``--samples-per-prompt``: the share of one rank."""

    def __init__(self, problems: list[Problem], group_size: int, *, seed: int, rank: int, world_size: int):
        self._problems = problems
        self._group_size = group_size
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._draws = 0

    def get_samples(self, num_samples: int) -> list[list[Sample]]:
        """``num_samples`` groups of new samples; a function of the number of the draw alone."""
        self._draws += 1
        drawn = batch(self._problems, num_samples * self._world_size, seed=self._seed, step=self._draws)
        return [
            [
                Sample(group, group * self._group_size + number, problem.question, problem.answer)
                for number in range(self._group_size)
            ]
            for group, problem in enumerate(drawn[self._rank :: self._world_size])
        ]


def batch(problems: list[Problem], count: int, *, seed: int, step: int) -> list[Problem]:
    """The problems of ``step``: a function of its arguments alone, so that a resumed run draws the same."""
    return random.Random(f"{seed} {step}").choices(problems, k=count)
