"""Tests of one job that use what the one before left (save, then resume) as the steps of one entry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from trainci.adopt.proposal import Entry, Note
from trainci.adopt.tree import Tree

# Folders that training writes; a test that names one which is not in the repository reads what another wrote.
_WRITTEN = re.compile(r"(?:^|[\s='\"])((?:checkpoints?|ckpts?|outputs?)/[\w.-])", re.IGNORECASE)
_RESUMES = re.compile(r"resume", re.IGNORECASE)
_OFF = {"disable", "disabled", "false", "0", "no", "none", ""}


def sequences(entries: Sequence[Entry], tree: Tree) -> tuple[Entry, ...]:
    """The entries, with each that continues the one before put behind it as a step."""
    grouped: list[list[Entry]] = []
    for entry in entries:
        if grouped and entry.python == grouped[-1][0].python and _continues(entry, tree):
            grouped[-1].append(entry)
        else:
            grouped.append([entry])
    return tuple(group[0] if len(group) == 1 else _sequence(group) for group in grouped)


def _continues(entry: Entry, tree: Tree) -> bool:
    if any(_RESUMES.search(name) and value.lower() not in _OFF for name, value in entry.env):
        return True
    words = (*entry.args, *entry.command)
    if any(_RESUMES.match(word.lstrip("-")) for word in words):
        return True
    found = (_WRITTEN.search(word) for word in words)
    return any(match and not tree.is_folder(match.group(1).split("/")[0]) for match in found)


def _sequence(group: Sequence[Entry]) -> Entry:
    first = group[0]
    gpus = [entry.num_gpus for entry in group if entry.num_gpus is not None]
    limits = [entry.timeout_minutes for entry in group if entry.timeout_minutes is not None]
    name = first.name or re.sub(r"[^A-Za-z0-9_.-]+", "-", first.path or first.module).strip("-.").lower()
    text = f"up to line {group[-1].place.line}: each step uses what the one before it left"
    return Entry(
        name=f"{name}-then-{len(group) - 1}-more",
        num_gpus=max(gpus, default=None),
        python=first.python,
        timeout_minutes=sum(limits) if len(limits) == len(group) else None,
        steps=tuple(replace(entry, num_gpus=None, timeout_minutes=None, python="", name="") for entry in group),
        place=first.place,
        notes=(Note(text, first.place, left=False),),
    )
