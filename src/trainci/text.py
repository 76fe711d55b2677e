"""Words for people: counted things, and text that stays on one line whatever it holds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

_WIDEST = 200


def printable(text: str) -> str:
    """``text`` on one line: whatever cannot be printed is escaped, as ``repr`` would."""
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text)


def counted(number: int, thing: str) -> str:
    """``1 device``, ``4 devices``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def caseless(text: str) -> str:
    """``text`` in the form in which GitHub compares: two texts are the same to it when these are.

    It compares as .NET's ``OrdinalIgnoreCase``: one character at a time, and none becomes ASCII that was not.
    """
    return "".join(map(_upper, text))


def _upper(character: str) -> str:
    upper = character.upper()
    return upper if len(upper) == 1 and (character.isascii() or not upper.isascii()) else character


def listed(names: Sequence[str], most: int = 5) -> str:
    """``a, b, c``, each printable; ``a, b and 7 more`` where there are more than ``most``."""
    shown = ", ".join(map(printable, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def shortened(text: str, most: int) -> str:
    """``text``, or its first ``most`` characters and that there are more."""
    return text if len(text) <= most else f"{text[:most]}…"


def guess(word: str, known: Iterable[str]) -> str:
    """`` Did you mean a, b?`` of those ``known`` that are like ``word``, empty where none is."""
    # Each lease begins with this module, and guesses nothing.
    import difflib

    close = difflib.get_close_matches(word, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    return f" Did you mean {', '.join(map(printable, close))}?" if close else ""


def nothing_known(test_id: str, known: Iterable[str]) -> str:
    """What is said of a test that the history does not have, with those ``known`` that are like it."""
    others = list(known)
    meant = "" if test_id in others else guess(test_id, others)
    return f"trainci: nothing is known of {printable(test_id)} yet.{meant}"


def width(text: str) -> int:
    """How many columns of a terminal ``text`` takes: two for an emoji or a character of East Asia."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def columns(rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """Each row as a line, its cells below those of the row before; at their right ends where ``right`` says so.

    For one that is very long the others are not moved.
    """
    widths = [max(min(width(cell), _WIDEST) for cell in column) for column in zip(*rows, strict=True)]
    ends = [*right, *[False] * (len(widths) - len(right))]
    return [
        "  ".join(
            f"{blanks}{cell}" if end else f"{cell}{blanks}"
            for cell, wanted, end in zip(row, widths, ends, strict=True)
            for blanks in (" " * (wanted - width(cell)),)
        ).rstrip()
        for row in rows
    ]
