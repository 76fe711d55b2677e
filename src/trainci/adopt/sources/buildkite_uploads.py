"""The pipelines that a step of Buildkite uploads: files are read, what a program makes is named."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainci.adopt.commands.entries import one_line
from trainci.adopt.placed import Text
from trainci.adopt.proposal import Note, Place
from trainci.adopt.tree import Tree

_UPLOAD = re.compile(r"\bpipeline\s+upload\b(?:\s+(?:-\S+\s+)*([\w./-]+))?")
_WORD = re.compile(r"[\w./-]+")


def uploads(lines: Sequence[Text], file: str, tree: Tree) -> tuple[list[str], list[Note]]:
    """The files that these commands upload, and a note for each command whose steps only a run knows."""
    files: list[str] = []
    notes: list[Note] = []
    for line in lines:
        for number, command in enumerate(line.splitlines(), line.line):
            scripts = [path.removeprefix("./") for path in _WORD.findall(command)]
            text = "\n".join([command, *(tree.read(path) for path in scripts if path.endswith((".sh", ".py")))])
            for upload in _UPLOAD.finditer(text):
                path = (upload.group(1) or "").removeprefix("./")
                if tree.is_file(path):
                    files.append(path)
                elif path or upload.group() not in command or "|" in command or "<" in command:
                    about = f"the steps that this uploads are known in a run only: {one_line(command)}"
                    notes.append(Note(about, Place(file, number)))
                    break
    return files, notes
