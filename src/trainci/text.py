"""Words for people: counted things, and text that stays on one line whatever it holds."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` on one line: whatever cannot be printed is escaped, as ``repr`` would."""
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text)


def counted(number: int, thing: str) -> str:
    """``1 device``, ``4 devices``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
