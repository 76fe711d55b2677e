"""Pure: results that a shell script throws away: a pipe, ``|| true``, whatever comes before its last command.

A script ends with the exit code of its last command; with ``set -e`` it ends at the first that fails; of a pipe the
last program counts, whatever comes before it, unless ``set -o pipefail`` says otherwise (bash(1), SHELL GRAMMAR).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from trainci.catalog.result_calls import LostResult

_ERREXIT = re.compile(r"^\s*set\s+(?:-\S+\s+)*(?:-[a-zA-Z]*e[a-zA-Z]*\b|-o\s+errexit|-[a-zA-Z]*eu?o\s+pipefail)")
_PIPEFAIL = re.compile(r"^\s*set\s+.*pipefail")
_NO_ERREXIT = re.compile(r"^\s*set\s+(?:\+[a-zA-Z]*e\b|\+o\s+errexit)")
# A trap that ends the script as if all were well; one for a signal alone does not run at its end.
_GREEN_TRAP = re.compile(r"^\s*trap\s+(?:'[^']*|\"[^\"]*)\bexit\s+0\s*;?\s*['\"]\s+(?:\w+\s+)*(?:EXIT|ERR|0)\b")
_GREEN_ELSE = re.compile(r"\|\|\s*(?:true|:|exit\s+0|return\s+0|(?:echo|printf)\b[^|&;]*);?\s*$")
_LOOP = re.compile(r"^\s*(?:for|while|until)\b")
_LOOP_END = re.compile(r"(?:^|;)\s*done\b")
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
_BEFORE = r"(?:\w+=(?:\"[^\"]*\"|'[^']*'|\S*)\s+|(?:time|exec|nohup|sudo|env)\s+|timeout\s+(?:-\S+\s+)*\S+\s+)*"
_AT = rf"(?:^|[;&|(]\s*|\b(?:then|do|else)\s+)(?:(?:if|elif|while|until|!)\s+)*{_BEFORE}"
_TESTS = re.compile(rf"{_AT}(?:python3?(?:\s+-m)?\s+)?(?:pytest|torchrun)\b")
_RUNS = re.compile(rf"{_AT}(?:\S*/)?(?:pytest|torchrun|python3?|accelerate|deepspeed)\s")
_PYTEST = re.compile(rf"{_AT}(?:\S*/)?(?:python3?\s+-m\s+)?pytest\b")
_CHECKED = re.compile(r"^\s*(?:if|while|until|elif|!)\s|\|\||&&|\$\(|`|PIPESTATUS|trap\b")
_LOOKED_AT = re.compile(r"\$\?|PIPESTATUS")
_ENDS = re.compile(r"^\s*(?:fi|done|esac|else|then|\}|;;|wait|exit\s+\$\??\w+)\s*;?\s*$")


def pytest_calls(text: str) -> int:
    """How often the script ``text`` names pytest as a command."""
    return sum(len(_PYTEST.findall(_unquoted(line.text))) for line in _logical_lines(text))


@dataclass(frozen=True)
class _Line:
    number: int
    text: str


def lost_in_shell(text: str) -> tuple[LostResult, ...]:
    """What the script ``text`` throws away, in the order of its lines."""
    lines = list(_logical_lines(text))
    last = max((number for number, line in enumerate(lines) if not _ENDS.match(line.text)), default=-1)
    pipefail = any(_PIPEFAIL.match(line.text) for line in lines)
    looked_at = any(_LOOKED_AT.search(line.text) for line in lines)
    # The options of a first line `#!/bin/bash -e` do not count: the script is started as `bash FILE`.
    errexit, loops = False, 0
    found: list[LostResult] = []
    for number, line in enumerate(lines):
        plain = _unquoted(line.text)
        errexit = bool(_ERREXIT.match(plain)) or (errexit and not _NO_ERREXIT.match(plain))
        loops += bool(_LOOP.match(plain))
        # What comes after a command in a loop is the loop's next round.
        is_last = number == last and loops == 0
        loops = max(0, loops - bool(_LOOP_END.search(plain)))
        if _GREEN_TRAP.match(line.text):
            found.append(
                LostResult(line.number, "this trap exits with 0 whatever failed", "Leave its `exit 0` out.", True)
            )
        elif _RUNS.search(plain + " "):
            lost = _lost(line.number, plain, is_last, errexit, pipefail, looked_at)
            found += [lost] if lost else []
    return tuple(found)


def is_idle(text: str) -> bool:
    """Whether the script ``text`` holds no command at all."""
    return not any(_logical_lines(text))


def _lost(
    number: int, plain: str, is_last: bool, errexit: bool, pipefail: bool, looked_at: bool
) -> LostResult | None:
    runs_tests = bool(_TESTS.search(plain))
    if green := _GREEN_ELSE.search(plain):
        what = f"`{' '.join(green[0].rstrip(';').split()[:2])}` throws the exit code away"
        return LostResult(number, what, "Leave it out.", runs_tests)
    if re.search(r"(?<![|&])\|(?![|&])", plain) and not (pipefail or looked_at):
        what = "the exit code of a pipe is that of its last program"
        return LostResult(number, what, "Write `set -o pipefail` above it.", certain=True)
    if re.search(r"(?<![&>|])&\s*$", plain):
        return (
            None
            if looked_at
            else LostResult(
                number,
                "what runs in the background ends unseen",
                "`wait` for it by its number.",
                certain=False,
            )
        )
    if is_last or errexit or looked_at or _CHECKED.search(plain):
        return None
    return LostResult(
        number, "the script goes on after this command fails", "Write `set -e` above it.", certain=False
    )


def _logical_lines(text: str) -> Iterator[_Line]:
    """Lines with their continuations; without comments, blank lines and the bodies of here-documents."""
    end, begun, start = "", "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        if end:
            end = "" if line.strip() == end else end
            continue
        if not begun and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start if begun else number
        if line.endswith("\\"):
            begun += f"{line[:-1]} "
            continue
        whole, begun = f"{begun}{line}", ""
        if document := _HEREDOC.search(whole):
            end = document[1]
        yield _Line(start, whole.strip())
    if begun:
        yield _Line(start, begun.strip())


def _unquoted(text: str) -> str:
    """``text`` with what stands in quotes blanked out, and without a comment at its end."""
    blank = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", lambda found: "_" * len(found[0]), text)
    return re.sub(r"\s#.*$", "", blank)
