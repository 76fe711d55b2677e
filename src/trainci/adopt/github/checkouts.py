"""Where a job keeps the repository, and other repositories that it takes beside it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainci.adopt.github.expressions import Context, substitute
from trainci.adopt.placed import Table, Text
from trainci.adopt.tree import CLONED, Tree, cloned_name

_ACTION = re.compile(r"actions/checkout(?:@|$)")
_WORKSPACE = re.compile(r"^(?:\$\{\{\s*github\.workspace\s*\}\}|\$\{?GITHUB_WORKSPACE\}?)/")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Checkout:
    """``line`` takes another repository into ``folder``; "" for the job's own. ``open_ref`` only a run knows."""

    folder: str
    line: str = ""
    open_ref: Text | None = None


def read_checkout(step: Table, tree: Tree, context: Context) -> Checkout | None:
    """What ``actions/checkout`` puts into a folder of its own; None for any other step."""
    given = step.table("with")
    if not _ACTION.match(step.text("uses")) or not given.text("path"):
        return None
    folder = posixpath.normpath(_WORKSPACE.sub("", substitute(given.text("path"), context)[0]))
    repository, is_open = substitute(given.text("repository"), context)
    if is_open or not _REPOSITORY.fullmatch(repository) or is_own(repository, tree):
        return Checkout(folder)
    ref, is_open = substitute(given.text("ref"), context)
    deep = " --recurse-submodules" if given.text("submodules") in ("true", "recursive") else ""
    line = f"git clone{deep} https://github.com/{repository} {folder}"
    if not is_open and re.fullmatch(r"[\w./-]+", ref):
        line += f" && git -C {folder} checkout {ref}"
    return Checkout(folder, line, given.text("ref") if is_open else None)


def is_own(repository: str, tree: Tree) -> bool:
    """Whether the address of a repository is that of this one, by the name of its package."""
    return tree.within(f"{CLONED}{cloned_name([repository])}") == ""


def is_checkout(words: Sequence[str], raw: str, tree: Tree) -> bool:
    """Whether a command of the shell takes this repository, as a job's own checkout does."""
    if tuple(words[:2]) == ("git", "clone") and len(words) > 2:
        return any(is_own(word, tree) for word in words[2:] if "/" in word)
    takes = tuple(words[:1]) == ("git",) and words[1:2] and words[1] in ("checkout", "fetch", "reset", "switch")
    return bool(takes and re.search(r"\bgithub\.(?:sha|ref|head_ref)\b", raw))
