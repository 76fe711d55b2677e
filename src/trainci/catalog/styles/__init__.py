"""The styles of tests, and what a file of any of them declares. A new style is one file, and one line here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trainci.catalog.styles.base import Source, Style
from trainci.catalog.styles.python import PythonFile
from trainci.model import Declarations
from trainci.text import printable

# The first that recognises a file has it; the last recognises every one.
STYLES: dict[str, Style] = {
    "python": PythonFile(),
}


def declarations(root: Path, file: str) -> Declarations:
    """What ``file`` declares. A file that cannot be read or parsed gives Declarations with a ``fault``."""
    shown, source = printable(file), Source(root, file)
    try:
        name, style = next(item for item in STYLES.items() if item[1].recognises(source))
        return replace(style.read(source), style=name)
    except SyntaxError as error:
        return Declarations(fault=f"{shown}:{error.lineno or 1}: does not parse: {printable(error.msg)}")
    except (ValueError, RecursionError, MemoryError) as error:
        return Declarations(fault=f"{shown}:1: does not parse: {printable(str(error)) or type(error).__name__}")
    except OSError as error:
        return Declarations(fault=f"{shown}:1: cannot be read: {error.strerror}")
