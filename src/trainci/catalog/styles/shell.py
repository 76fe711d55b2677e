"""``bash FILE ARGS…``: a shell script, which declares what it needs in the comments of its head."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from trainci.catalog.shell.files import sourced
from trainci.catalog.shell.lost import ShellScript, read_shell
from trainci.catalog.styles.base import Source, as_word
from trainci.catalog.styles.started import lost_by_starts
from trainci.model.tests import Declarations, Entry
from trainci.text import printable

_HEAD_BYTES = 1 << 16
_DECLARATION = re.compile(r"#\s*(NUM_GPUS|NUM_NODES|REQUIRES_GPU)\s*=\s*(.*?)\s*")
_LARGEST = 10**9


class Shell:
    """See Style."""

    suffix = ".sh"
    leaves_results = False

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return source.file.endswith(".sh") and not source.is_folder

    def read(self, source: Source) -> Declarations:
        """See Style. The head is what stands before the first command: ``# NUM_GPUS = 8``."""
        content = source.text
        if b"\r\n" in content:
            line = content[: content.index(b"\r\n")].count(b"\n") + 1
            sentence = (
                "the line ends as on Windows, and bash takes that for a part of its last word, so that `set -e` is"
            )
            mend = f"none. Remove it: sed -i 's/\\r$//' {shlex.quote(source.file)}"
            return Declarations(refusal=f"{printable(source.file)}:{line}: {sentence} {mend}")
        counts: dict[str, tuple[int, int]] = {}
        flag, flag_line = False, 1
        for number, name, value in _declared(content[:_HEAD_BYTES].decode("utf-8", "replace")):
            place = f"{printable(source.file)}:{number}: {name}"
            if name == "REQUIRES_GPU":
                if value not in ("True", "False"):
                    return Declarations(fault=f"{place} must be True or False, and {printable(value)} is neither")
                flag, flag_line = value == "True", number
            elif not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > _LARGEST:
                return Declarations(fault=f"{place} must be a whole number, and {printable(value)} is not")
            elif counts.get(name, (int(value),))[0] != int(value):
                return Declarations(
                    fault=f"{place} is set on several lines ({counts[name][1]}, {number}); keep one"
                )
            elif name == "NUM_NODES" and not int(value):
                return Declarations(fault=f"{place} is 0; a test has a node to run on")
            else:
                counts[name] = (int(value), number)
        num_gpus, line = counts.get("NUM_GPUS", (None, 1))
        text = content.decode("utf-8", "replace")
        script = read_shell(text, sourced(source.root, source.file, text))
        script = replace(script, lost=(*script.lost, *lost_by_starts(source.root, script)))
        return Declarations(
            num_gpus=num_gpus,
            num_nodes=counts.get("NUM_NODES", (None,))[0],
            line=line,
            requires_gpu=flag,
            requires_gpu_line=flag_line,
            refusal=_refusal(source.file, script),
            remarks=tuple((one.line, f"perhaps {one}") for one in script.lost if not one.certain),
            framework="pytest" if script.pytest_calls == 1 else "",
            hands_over=script.always_pytest,
            may_turn_away=script.may_turn_away,
            expects=script.expects,
        )

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands. A launcher of the interpreter (``uv run python``) launches the shell instead."""
        return (*_launcher(python), "bash", as_word(entry.file), *entry.args)


def _refusal(file: str, script: ShellScript) -> str:
    if script.idle:
        return f"{printable(file)}:1: nothing would run: the script holds no command."
    certain = next((one for one in script.lost if one.certain), None)
    return f"{printable(file)}:{certain.line}: {certain}" if certain else ""


def _launcher(python: tuple[str, ...]) -> tuple[str, ...]:
    *before, last = python
    return tuple(before) if last.rpartition("/")[2].startswith("python") else ()


def _declared(head: str) -> Iterator[tuple[int, str, str]]:
    for number, text in enumerate(head.split("\n"), start=1):
        line = text.strip()
        if line and not line.startswith("#"):
            return
        if found := _DECLARATION.fullmatch(line):
            yield number, found[1], found[2]
