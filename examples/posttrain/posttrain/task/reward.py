"""The rule-based reward."""

from __future__ import annotations

import re

_ANSWER = re.compile(r"####\s*(-?\d[\d,]*)")

RIGHT, WELL_FORMED, WRONG = 1.0, 0.1, 0.0


def final_answer(text: str) -> str | None:
    """The number after the last ``####``, without thousands separators and zeros before it; None: there is none."""
    found = _ANSWER.findall(text)
    return str(int(found[-1].replace(",", ""))) if found else None


def reward(completion: str, answer: str) -> float:
    """1 for the right number, 0.1 for any number in the right form, 0 otherwise.

    ``answer`` is the problem's, in gsm8k's format.
    """
    given = final_answer(completion)
    if given is None:
        return WRONG
    return RIGHT if given == final_answer(answer) else WELL_FORMED
