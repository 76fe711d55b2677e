"""The task: small additions, generated, in the format of gsm8k."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
