"""What a rule answers. A rule is a pure function of the attempts of a test (at least one), the last one last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainci.model.run import Attempt, Phase, Verdict


@dataclass(frozen=True)
class Ruling:
    """What the attempts mean if they were all; ``again``: one more is worth its while, if one may be made."""

    verdict: Verdict
    again: bool = False


Rule = Callable[[Sequence[Attempt]], Ruling | None]


def placed(attempt: Attempt, sentence: str) -> str:
    """``sentence``, and that it is about the prepare phase if the attempt got no further."""
    return f"in its prepare phase: {sentence}" if attempt.phase is Phase.PREPARE else sentence
