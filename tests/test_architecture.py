"""docs/architecture.md is the plan of the house that stands."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import get_args

import pytest
import tomli

from trainci.catalog.styles import STYLES
from trainci.config.tables import StepTable, SuiteTable
from trainci.executors.by_name import EXECUTORS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/trainci"
PAGE = (ROOT / "docs/architecture.md").read_text()
# The package itself, and what is copied into repositories and never imported.
NO_ROOMS = {"__init__", "py", "starter"}


def rooms() -> set[str]:
    names = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    return names - NO_ROOMS


def told() -> set[str]:
    rows = re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def arrows() -> set[tuple[str, str]]:
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    members = {name: re.findall(r"\w+", label) for name, label in re.findall(r"(\w+)\[(.*?)\]", drawing)}
    sides = re.findall(r"^ +(.+) --> (.+)$", re.sub(r"\[.*?\]", "", drawing), re.MULTILINE)
    one = [(left, right) for lefts, rights in sides for left in lefts.split(" & ") for right in rights.split(" & ")]
    return {(a, b) for left, right in one for a in members.get(left, [left]) for b in members.get(right, [right])}


@functools.cache
def imports_of(room: str) -> set[str]:
    files = [*PACKAGE.glob(f"{room}.py"), *(PACKAGE / room).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in froms for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("trainci.")}


def test_every_arrow_of_the_drawing_is_an_import():
    drawn = arrows()
    assert len(drawn) > 20
    grouped = {"__main__", "cli", "text", "errors"}  # a box of two: one of them has the arrow
    assert not [(a, b) for a, b in drawn if not {a, b} & grouped and b not in imports_of(a)]


def test_every_room_is_on_the_page_and_every_room_on_the_page_is_there():
    assert told() == rooms()


def test_every_room_has_its_floor_in_the_import_contract():
    contracts = tomli.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["containers"] == ["trainci"])
    assert {name for layer in layers for name in re.findall(r"\w+", layer)} == rooms()


def named(annotation: object) -> set[str]:
    """The words of a Literal, or of an optional one."""
    return {word for part in get_args(annotation) for word in get_args(part)}


def test_what_the_configuration_may_name_is_there():
    assert named(SuiteTable.model_fields["executor"].annotation) == set(EXECUTORS)
    # A module and a command are tables of their own, which name themselves.
    assert named(StepTable.model_fields["runner"].annotation) == set(STYLES) - {"module", "command"}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:src|tests|docs|examples)/[\w./-]+)`", PAGE))))
def test_every_path_on_the_page_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+)\)", PAGE))))
def test_every_link_on_the_page_leads_somewhere(link):
    assert (ROOT / "docs" / link).exists()
