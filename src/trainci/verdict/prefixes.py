"""Pure: what CI systems, launchers and loggers put before a line, and whose line it is by that.

Which rank or worker a line comes from is told by torch (``[rank3]:``), torchrun and Megatron-LM (``[default3]:``),
ray (``(Trainer pid=7, ip=10.0.0.1)``), vLLM (``(EngineCore_0 pid=7)``), Open MPI (``[1,3]<stderr>:``), Slurm
(``3: ``), docker compose and trainci itself (``tests/test_x.py | ``).
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Line(NamedTuple):
    """A line without its prefixes. ``stream`` names the rank or worker, empty where nothing tells."""

    number: int
    stream: str
    text: str


# Each ends where the line's own text, with its indentation, begins.
_PREFIX = re.compile(
    r"(?:(?:[^\t]+\t[^\t]+\t)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)"
    r"(?: (?:stdout|stderr) [FP]| \d\d[OE])?[ +]?"
    r"|##\[(?:error|warning|debug|group|command)\]|::(?:error|warning)[^:]*::"
    r"|time=\"?[\dT:.,+Z-]+\"? level=\w+ msg=\"?"
    r"|(?P<rank>\[(?:rank|default)?\d+\]:) ?"
    r"|(?P<mpi>\[\d+,\d+\]<std(?:out|err)>:) ?"
    r"|(?P<task> {0,3}\d{1,5}: )(?=\s|Traceback|[A-Za-z_][\w.]*(?:Error|Exception)|\[)"
    r"|(?P<worker>\((?:[\w.:<>/ -]+ )?pid=\d+(?:, ip=[\w.:]+)?\)|\(raylet(?:, ip=[\w.:]+)?\)) ?"
    r"|(?P<tag>\([A-Za-z][\w.-]{1,30}\)) (?=\s|Traceback|[A-Za-z_][\w.]*(?:Error|Exception))"
    r"|(?P<service>[\w./-]+(?:\[[^\]]*\])? +\| )"
    r"|\[[A-Z] ?\d{3,4} \d\d:\d\d:\d\d[.\d]* [\w./]+:\d+\] ?"
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d[.\d]* +(?:\d+ )?[\w./]+:\d+\] ?"
    r"|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d (?:\[[\w./]+:\d+\]|[\w./]+:\d+\]) ?"
    r"|\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)?(?P<part>(?: (?:DP|TP|PP|EP)\d+)+)?\] "
    r")"
)
_LONGEST_PREFIXES = 6


def split(number: int, text: str) -> Line:
    """Line ``number``, which reads ``text``, without its prefixes."""
    streams: list[str] = []
    position = 0
    for _ in range(_LONGEST_PREFIXES):
        match = _PREFIX.match(text, position)
        if not match or match.end() == position:
            break
        if kind := match.lastgroup:
            streams.append(match[kind].strip(" |:"))
        position = match.end()
    return Line(number, " ".join(streams), text[position:])


def lines_of(number: int, text: str) -> list[Line]:
    """What was written into line ``number``, which reads ``text``: mostly one line, without its prefixes."""
    return [line for part in _unfolded(text) for line in _apart(split(number, part))]


# torch writes a rank's traceback at once, and another rank's line (a progress bar) may not have ended before it.
_BEHIND = re.compile(r"(?<=[^\"'`])\[rank\d+\]:[ |+]*(?:Exception Group )?Traceback \(most recent call last\):$")
_IN_MESSAGE_OF_PYTEST = "E "


def _apart(line: Line) -> list[Line]:
    """``line``, and the beginning of a rank's traceback that stands behind it, if one does."""
    behind = _BEHIND.search(line.text)
    if not behind or line.text.startswith(_IN_MESSAGE_OF_PYTEST):
        return [line]
    begun = split(line.number, behind[0])
    stream = f"{line.stream} {begun.stream}".strip()
    return [line._replace(text=line.text[: behind.start()]), begun._replace(stream=stream)]


_IN_JSON = "Traceback (most recent call last):\\n"
_JSON_END = re.compile(r'(?<!\\)"')


def _unfolded(text: str) -> list[str]:
    """``text``, and the lines of the traceback that it holds within a string of JSON, if it does."""
    before, mark, rest = text.partition(_IN_JSON)
    if not mark:
        return [text]
    inside = _JSON_END.split(rest, maxsplit=1)[0].replace('\\"', '"')
    return [before, *(mark + inside).split("\\n")]
