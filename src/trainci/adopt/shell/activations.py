"""The Python that a line of a script makes the one of the lines after it."""

from __future__ import annotations

import re

_VENV = re.compile(r"(.*/bin)/activate")
# A folder of an environment of Python's by its name; of another one first on PATH come compilers and tools.
_ENVIRONMENT = re.compile(
    r"(?:^|/)[^/]*(?:venv|env|conda|mamba|miniforge|pyenv|python|uv)[^/]*(?:/|$)", re.IGNORECASE
)
_FIRST_ON_PATH = re.compile(r"PATH=[\"']?([^$:\"']+):\$\{?PATH\}?[\"']?")


def first_on_path(assignment: str) -> str | None:
    """The python of the environment that ``PATH=FOLDER:$PATH`` puts first; None for another assignment."""
    path = _FIRST_ON_PATH.fullmatch(assignment)
    return f"{path.group(1).rstrip('/')}/python" if path and _ENVIRONMENT.search(path.group(1)) else None


def sourced(words: list[str]) -> str | None:
    """The python of the environment that ``source FOLDER/bin/activate`` activates; None for another command."""
    if len(words) == 2 and words[0] in ("source", ".") and (venv := _VENV.fullmatch(words[1])):
        return f"{venv.group(1)}/python"
    return None


def activated(words: list[str]) -> str | None:
    """The python of conda's environment that the command activates, "" for none any more; None for another."""
    if words[0] in ("conda", "mamba", "micromamba") and words[1:2] == ["deactivate"]:
        return ""
    conda = "conda"
    if words[0] in ("source", ".") and (venv := _VENV.fullmatch(words[1]) if words[1:] else None):
        conda = f"{venv.group(1)}/conda"
    elif words[:2] != ["source", "activate"] and words[1:2] != ["activate"]:
        return None
    if len(words) != 3 or not re.fullmatch(r"[\w./-]+", words[2]):
        return None
    starts = "micromamba run" if words[0] == "micromamba" else f"{conda} run --no-capture-output"
    return f"{starts} {'-p' if '/' in words[2] else '-n'} {words[2]} python"
