"""What a rule is: a pure function of an attempt that answers what it means by itself, or nothing."""

from __future__ import annotations

from collections.abc import Callable

from trainci.model.run import Attempt, Phase, Verdict

Rule = Callable[[Attempt], Verdict | None]


def placed(attempt: Attempt, sentence: str) -> str:
    """``sentence``, and that it is about the prepare phase if the attempt got no further."""
    return f"in its prepare phase: {sentence}" if attempt.phase is Phase.PREPARE else sentence
