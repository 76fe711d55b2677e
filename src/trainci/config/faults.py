"""Faults of ``trainci.toml`` as sentences for people: what pydantic found, and what no single value can say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from trainci.config.fields import Table
from trainci.config.tables import CONFIG_FILE, FileTable, SettingsTable
from trainci.model.project import job_ids
from trainci.text import caseless, printable

Path = tuple[str | int, ...]


def default_label(name: str) -> str:
    """The label of a suite that names none."""
    return f"run-ci-{name}"


def breadcrumb(path: Path) -> str:
    """``suites.ckpt → tests[1] → path``."""
    crumbs: list[str] = []
    for part in path:
        if isinstance(part, int) and crumbs:
            crumbs[-1] += f"[{part}]"
        elif crumbs == ["suites"]:
            crumbs[-1] += f".{printable(str(part))}"
        else:
            crumbs.append(printable(str(part)))
    return " → ".join(crumbs) or CONFIG_FILE


def syntax_fault(source: str, message: str) -> str:
    """The whole fault, with its line, of a document that tomllib refused with ``message``."""
    found = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)", message)
    if found is None:
        return f"{CONFIG_FILE}:1: cannot be read: {printable(message)}"
    line = found.group(1) or source.rstrip().count("\n") + 1
    where = "" if found.group(1) else " at the end of the file"
    return f"{CONFIG_FILE}:{line}: not valid TOML: {printable(message[: found.start()])}{where}"


_ADVICE = {
    "missing": "required, but missing",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_pattern_mismatch": "must be letters, digits and '_', with no digit first",
}


def shape_faults(item: Any) -> Iterator[tuple[Path, str]]:
    """Where one of pydantic's errors is in the file, and its sentence; none where another error says it."""
    kind = item["type"]
    path = _path_in_file(item["loc"], is_key_fault=kind != "extra_forbidden")
    if len(path) == 3 and path[0] == "suites" and path[2] == "tests":
        # Both members of the union complain; one sentence says it.
        if kind == "literal_error" and not isinstance(item["input"], list):
            yield path, 'must be a list of tests, or "all"'
    elif kind == "extra_forbidden":
        table = next(_tables(FileTable, path[:-1]), FileTable)
        own_first = sorted(table.model_fields, key=lambda name: name in SettingsTable.model_fields)
        yield path, f"unknown key; known are {', '.join(own_first)}"
    elif kind == "model_type" and path[-2:-1] == ("metrics",):
        yield path, 'must be "history", a number, or a table such as { min = 0.5 }'
    elif kind == "model_type" and path[0] == "suites" and len(path) in (4, 6):
        yield path, 'must be a path, or a table such as { path = "tests/test_x.py" }'
    elif kind == "string_type" and path[-2:-1] == ("env",):
        yield path, 'must be a string; for a switch write what the test reads, such as "1" or "true"'
    elif kind == "list_type" and path[-1] == "args":
        yield path, 'must be a list of strings, such as ["--async-save"]: splitting a string would go wrong'
    elif item["msg"].startswith("Value error, "):
        yield path, item["msg"].removeprefix("Value error, ")
    else:
        yield path, _ADVICE.get(kind) or item["msg"].replace("Input should be", "must be").replace("'", '"')


def _tables(kind: Any, path: Path) -> Iterator[type[Table]]:
    """The tables to which ``path`` leads from a value of the type ``kind``."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        for member in inner:
            yield from _tables(member, path)
    elif origin is Annotated:
        yield from _tables(inner[0], path)
    elif origin in (list, dict) and path:
        yield from _tables(inner[-1], path[1:])
    elif origin is None and isinstance(kind, type) and issubclass(kind, Table):
        if not path:
            yield kind
        elif field := kind.model_fields.get(str(path[0])):
            yield from _tables(field.annotation, path[1:])


def _path_in_file(loc: Path, *, is_key_fault: bool) -> Path:
    """pydantic's path of a fault, without the member of a union and "[key]": the file has no such thing."""
    if loc[:1] == ("suites",) and loc[2:3] == ("tests",):
        loc = loc[:3] + loc[4:]
    return loc[:-1] if is_key_fault and loc[-1:] == ("[key]",) else loc


def clash_faults(document: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """What no single value can say: labels used twice, keys that exclude each other.

    Reads the raw document, so that these faults are reported together with faults of shape.
    """
    project = document.get("project")
    if isinstance(project, dict) and {"default_gpus", "num_gpus"} <= project.keys():
        yield ("project", "default_gpus"), "is an older name of `num_gpus`, which stands there, too; remove it"
    written = document.get("suites")
    suites: dict[str, Any] = written if isinstance(written, dict) else {}
    jobs: dict[str, str] = {}
    for name, suite in suites.items():
        if not isinstance(suite, dict):
            continue
        label = str(suite.get("label") or default_label(name))
        if label != name and label in suites:
            yield ("suites", name, "label"), f"{printable(label)} is the name of another suite; give each its own"
        for job in job_ids(name, suite.get("select") == "changed", str(suite.get("job") or "")):
            if (other := jobs.setdefault(caseless(job), name)) != name:
                yield (
                    ("suites", name),
                    f"its job {printable(job)} is one of suite {printable(other)}, too; rename one",
                )
                break
        if suite.get("select") and suite.get("tests"):
            yield ("suites", name, "select"), 'select = "changed" finds its tests itself; remove `tests`'
        if suite.get("include") and (suite.get("select") or suite.get("tests") == "all"):
            yield ("suites", name, "include"), "this suite finds its tests itself; remove `include`"
        if suite.get("jobs") and suite.get("pack"):
            yield ("suites", name, "jobs"), "`pack` puts all tests into one job; remove one of the two"
    yield from _include_faults(suites)
    rules = document.get("affected")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if not isinstance(rule, dict):
            continue
        if sum(bool(rule.get(key)) for key in ("suites", "tests", "nothing")) != 1:
            yield ("affected", index), "say one of suites = […], tests = […] and nothing = true"
        named = rule.get("suites")
        for number, name in enumerate(named if isinstance(named, list) else ()):
            if isinstance(name, str) and name not in suites:
                known = ", ".join(map(printable, suites)) or "none"
                yield ("affected", index, "suites", number), f"{printable(name)} is no suite; there are: {known}"


def _include_faults(suites: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Included suites that are none, that have no tests to give, or that lead back to where they began."""
    included = {name: _included(suite) for name, suite in suites.items()}
    for name, others in included.items():
        for number, other in enumerate(others):
            place: Path = ("suites", name, "include", number)
            if other not in suites:
                known = ", ".join(map(printable, suites))
                yield place, f"{printable(other)} is no suite; there are: {known}"
            elif isinstance(suites[other], dict) and suites[other].get("select"):
                yield place, f"{printable(other)} holds what a change touches, which no other suite can include"
            elif name in _reached(other, included):
                yield place, f"{printable(other)} includes this suite in turn; remove one of the two"


def _included(suite: Any) -> list[str]:
    written = suite.get("include") if isinstance(suite, dict) else None
    return [name for name in written if isinstance(name, str)] if isinstance(written, list) else []


def _reached(start: str, included: dict[str, list[str]]) -> set[str]:
    """``start`` and every suite that it includes, to the end."""
    reached, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += included.get(name, [])
    return reached
