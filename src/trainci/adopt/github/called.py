"""Workflows that a job calls, to the end: their jobs with what they are given written into them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from trainci.adopt.github.composite import in_full, inputs
from trainci.adopt.github.expressions import Context, bare, evaluate, is_true, substitute
from trainci.adopt.github.steps import SCRIPT_KEYS
from trainci.adopt.placed import Items, Table, Text, Value, load_table, with_texts
from trainci.adopt.tools.filling import TooLong, filled
from trainci.adopt.tree import Tree

# GitHub's own limit of workflows that call each other.
_MOST_DEPTH = 10
# Of one job, for each workflow may call another in many of its own.
_MOST_JOBS = 500
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
# An input in an expression, past its texts.
_INPUT = re.compile(r"('(?:[^']|'')*')|(?<![\w.])inputs\.([\w-]+)")
_LITERAL = re.compile(r"true|false|-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class CalledJob:
    """A job that has steps, the workflow around it and that one's file; ``name`` tells it from the caller's others.

    ``conditions`` are those of the jobs below the first one that only a run decides.
    """

    name: str
    job: Table
    workflow: Table
    file: str
    conditions: tuple[Text, ...] = ()


def jobs_of(name: str, job: Table, workflow: Table, file: str, tree: Tree) -> list[CalledJob]:
    """The job itself, or those of the workflow that it calls, with what they are given; none where these grow."""
    try:
        return list(_jobs_of(name, job, workflow, file, tree, 0, iter(range(_MOST_JOBS))))
    except TooLong:
        return []


def _jobs_of(
    name: str, job: Table, workflow: Table, file: str, tree: Tree, depth: int, left: Iterator[int]
) -> Iterator[CalledJob]:
    """The same, for each of which one is taken from ``left``."""
    if next(left, None) is None:
        raise TooLong
    given = job.table("with")
    uses = in_full(tree, job.text("uses"), given)
    if not uses:
        yield CalledJob(name, job, workflow, file)
    elif uses.startswith("./"):
        called_file = uses.removeprefix("./")
        called = load_table(tree.read(called_file)) if depth < _MOST_DEPTH else None
        if called is None:
            return
        passed = _passed(called, given)
        jobs = called.table("jobs")
        inside = {inner: _filled(table, passed, job) for inner, table in jobs.items() if isinstance(table, Table)}
        around = Table({**called, "jobs": Table({**inside}, jobs.line)}, called.line)
        for inner, table in inside.items():
            condition = evaluate(table.text("if") or "true", Context())
            if not is_true(condition):
                continue
            own = (table.text("if"),) if not isinstance(condition, Text) else ()
            for one in _jobs_of(
                name if len(inside) == 1 else f"{name}-{inner}", table, around, called_file, tree, depth + 1, left
            ):
                yield CalledJob(one.name, one.job, one.workflow, one.file, (*own, *one.conditions))
    else:
        script = next((given.text(key) for key in SCRIPT_KEYS if given.text(key)), None)
        if script:
            step = Table({"run": script, "name": Text("", script.line)}, script.line)
            made = Table({**job, "steps": Items([step], script.line)}, job.line)
            made["runs-on"] = given.text("runner")
            made["container"] = given.text("docker-image")
            made["timeout-minutes"] = given.text("timeout")
            yield CalledJob(name, made, workflow, file)


def _passed(called: Table, given: Table) -> dict[str, Text]:
    """The inputs of a called workflow. The matrix is its caller's, and so are the values that it gives from it."""
    on = called.get("on")
    declared = on.table("workflow_call").table("inputs") if isinstance(on, Table) else Table()
    known = inputs(declared, Table(), Context())
    passed = {key: value for key, value in known.items() if isinstance(value, Text)}
    return passed | {key: _of_caller(value) for key, value in given.items() if isinstance(value, Text)}


def _of_caller(text: Text) -> Text:
    """The value with the caller's own inputs named so that they are not taken for those of the called workflow."""
    return Text(re.sub(r"(?<![\w.])inputs\.", "caller.inputs.", text), text.line, quoted=text.quoted)


def _filled(job: Table, passed: dict[str, Text], caller: Table) -> Table:
    """A called job with its inputs written into its expressions, under the matrix of its caller and its own."""

    def spliced(expression: str) -> str:
        def replaced(match: re.Match[str]) -> str:
            value = passed.get(match.group(2) or "")
            return match.group() if value is None else _operand(value)

        return filled(_INPUT, replaced, expression)

    def given(value: Text) -> Text:
        if "inputs." not in value:
            return value
        made = Text(filled(_EXPRESSION, lambda match: f"${{{{{spliced(match.group(1))}}}}}", value), value.line)
        return substitute(made, Context())[0]

    def conditional(table: Table) -> Table:
        """A job or a step, whose condition is an expression without its braces."""
        text = table.text("if")
        return Table({**table, "if": Text(spliced(bare(text)), text.line)}, table.line) if text else table

    job = conditional(job)
    steps = [conditional(step) if isinstance(step, Table) else step for step in job.items_of("steps")]
    made = with_texts(Table({**job, "steps": Items(steps, job.items_of("steps").line)}, job.line), given)
    if "strategy" in caller:
        made["strategy"] = _both(caller.table("strategy"), made.table("strategy"))
    return made


def _operand(value: Text) -> str:
    """An input's value as a part of an expression."""
    parts = _EXPRESSION.split(value)  # every second one is an expression
    if len(parts) == 1:
        return str(value) if _LITERAL.fullmatch(value) and not value.quoted else _quoted(value)
    if len(parts) == 3 and not parts[0].strip() and not parts[2].strip():
        return f"({parts[1].strip()})"
    text = "".join(part if at % 2 == 0 else f"{{{at // 2}}}" for at, part in enumerate(parts))
    return f"format({', '.join((_quoted(text), *(part.strip() for part in parts[1::2])))})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _both(outer: Table, inner: Table) -> Table:
    """One strategy whose matrix has the axes of both."""
    matrices: list[Value] = [one["matrix"] for one in (inner, outer) if "matrix" in one]
    if len(matrices) < 2 or not all(isinstance(matrix, Table) for matrix in matrices):
        return outer if "matrix" in outer else inner
    return Table(
        {**outer, "matrix": Table({**inner.table("matrix"), **outer.table("matrix")}, outer.line)}, outer.line
    )
