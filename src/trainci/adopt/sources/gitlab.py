"""GitLab CI: each job that runs tests is a suite. A job is written out as one of GitHub's and read as that.

Format: https://docs.gitlab.com/ci/yaml/. Files that ``include: local`` names are read with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product

from trainci.adopt.commands.entries import one_line
from trainci.adopt.github.jobs import read_job
from trainci.adopt.github.suites import of_job
from trainci.adopt.placed import Items, NotYaml, Table, Text, Value, joined_lines, load_yaml
from trainci.adopt.proposal import Found, Note, Place, Suite
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.tree import Tree
from trainci.adopt.unread_keys import shown, tests_in, unread_keys
from trainci.globs import matches

_FILE = ".gitlab-ci.yml"
_NO_JOBS = {
    *("stages", "variables", "default", "workflow", "include", "image", "services", "before_script"),
    *("after_script", "cache", "spec", "pages"),
}
# What is said for every job.
_HANDED_DOWN = {"services", "after_script", "retry", "hooks", "id_tokens"}
_READ = {
    *("script", "before_script", "image", "variables", "tags", "parallel", "timeout", "extends", "rules", "when"),
    "allow_failure",
}
# What is no matter of how its tests run, nor of whether they do.
_OF_NO_TEST = {
    "stage",
    "needs",
    "dependencies",
    "artifacts",
    "cache",
    "interruptible",
    "resource_group",
    "coverage",
}
_MOST_LINES = 5_000
_MOST_FILES = 256
# As with GitHub's, which they become.
_MOST_ROWS = 256
_TIME = re.compile(r"(\d+)\s*(h|m)", re.IGNORECASE)


def read(tree: Tree) -> Found:
    """The suites of ``.gitlab-ci.yml``, of what it includes of this repository and of what its jobs start."""
    notes: list[Note] = []
    suites: list[Suite] = []
    paths = test_paths(tree)
    waiting = [_FILE] if tree.is_file(_FILE) else []
    for first in waiting:  # grows by what a job starts
        documents: dict[str, Table] = {}
        _load(first, tree, notes, documents)
        known = {name: value for document in documents.values() for name, value in document.items()}
        common = Table({}, 1)
        for document in documents.values():
            common |= {**document.table("default"), **{key: document[key] for key in _NO_JOBS & document.keys()}}
        done: dict[str, Table] = {}
        for file, document in documents.items():
            notes += unread_keys(document.table("workflow"), {"name", "auto_cancel"}, file)
            for name, job in document.items():
                if isinstance(job, Table) and name not in _NO_JOBS and not name.startswith("."):
                    whole = _extended(job, known, done)
                    notes += _gone(name, job, known, file)
                    for path, note in _started(whole, file, tree):
                        waiting += [path] if path and path not in waiting and len(waiting) < _MOST_FILES else []
                        notes += [] if path else [note]
                    suites += _suites(name, whole, common, known, file, tree, paths)
    return Found(tuple(suites), tuple(notes))


def _gone(name: str, job: Table, known: Mapping[str, Value], file: str) -> Iterator[Note]:
    for base in job.texts("extends"):
        if base not in known:
            yield Note(f"{name} extends {base}, which is not in this repository", Place(file, base.line))


def _started(job: Table, file: str, tree: Tree) -> Iterator[tuple[str, Note]]:
    """Each pipeline that the job starts: its file in this repository, else "", and a note of what it is."""
    trigger = job.get("trigger")
    included = trigger.get("include") if isinstance(trigger, Table) else None
    for one in included if isinstance(included, Items) else [included or trigger]:
        if one is not None:
            path = (one if isinstance(one, Text) else one.text("local") if isinstance(one, Table) else "").lstrip(
                "/"
            )
            text = f"starts the pipeline {shown(one)}, which is not read"
            yield path if tree.is_file(path) else "", Note(one_line(text), Place(file, one.line or job.line))


def _load(file: str, tree: Tree, notes: list[Note], known: dict[str, Table]) -> None:
    """Add the file, and those of this repository that it includes, each once."""
    try:
        # Before it may stand what it takes: `spec: {inputs: …}`.
        head, line, body = tree.read(file).rpartition("\n---\n")
        document = load_yaml("\n" * (head + line).count("\n") + body)
    except NotYaml as error:
        notes.append(Note(f"is no YAML: {error}", Place(file, error.line)))
        return
    if not isinstance(document, Table) or len(known) == _MOST_FILES:
        return
    known[file] = document
    written = document.get("include")
    for one in written if isinstance(written, Items) else [written] if written else ():
        local = one if isinstance(one, Text) else one.text("local") if isinstance(one, Table) else Text("", 1)
        pattern = local.lstrip("/")
        found = [path for path in tree.files if matches(path, pattern)] if pattern and "://" not in pattern else []
        if not found:
            notes.append(Note(f"include {shown(one)}: is not in this repository", Place(file, one.line)))
        for path in found:
            if path not in known:
                _load(path, tree, notes, known)


def _extended(job: Table, known: Mapping[str, Value], done: dict[str, Table]) -> Table:
    """The job with what it ``extends``; its own keys come first, and tables are joined. ``done`` is each once."""
    made = Table({}, job.line)
    for name in job.texts("extends"):
        base = known.get(name)
        if isinstance(base, Table):
            if name not in done:
                done[name] = Table({}, base.line)  # of itself, it is nothing
                done[name] = _extended(base, known, done)
            made = _joined(made, done[name])
    return _joined(made, job)


def _joined(base: Table, own: Table) -> Table:
    made = Table({**base}, own.line)
    for key, value in own.items():
        before = base.get(key)
        both = isinstance(before, Table) and isinstance(value, Table)
        made[key] = _joined(before, value) if both else value  # type: ignore[arg-type]
    return made


def _suites(
    name: str,
    job: Table,
    common: Table,
    known: Mapping[str, Value],
    file: str,
    tree: Tree,
    testpaths: Sequence[str],
) -> Iterator[Suite]:
    lines: list[Text] = []
    _add_lines(job.get("before_script", common.get("before_script")), known, lines, [_MOST_LINES])
    _add_lines(job.get("script"), known, lines, [_MOST_LINES])
    if not lines:
        if notes := tuple(tests_in(job, file)):
            yield Suite(name=name, notes=notes)
        return
    image = job.get("image", common.get("image"))
    variables = Table({**_values(common.table("variables")), **_values(job.table("variables"))}, job.line)
    rows = _rows(job.table("parallel").get("matrix"))
    for key in {key for row in rows for key in row}:
        variables[key] = Text(f"${{{{ matrix.{key} }}}}", job.line)
    script = joined_lines(lines)
    steps = [Table({"name": Text(name, job.line), "run": text}, text.line) for text in script]
    made = Table(
        {
            "steps": Items(steps, job.line),
            "env": variables,
            "runs-on": Items(job.texts("tags") or common.table("default").texts("tags"), job.line),
            "container": _text(image.get("name")) if isinstance(image, Table) else _text(image),
            "timeout-minutes": _minutes(job.text("timeout")),
        },
        job.line,
    )
    if rows:
        made["strategy"] = Table({"matrix": Table({"include": Items(rows, job.line)}, job.line)}, job.line)
    suites, reader = read_job(name, made, Table({}, 1), file, tree, testpaths)
    whole = Table({**{key: common[key] for key in _HANDED_DOWN & common.keys()}, **job}, job.line)
    yield from (_when(suite, whole, file) for suite in of_job(suites, reader, name, Place(file, job.line)))


def _when(suite: Suite, job: Table, file: str) -> Suite:
    """The suite with what starts it; a rule that only GitLab can decide is said."""
    rules = [rule for rule in job.items_of("rules") if isinstance(rule, Table)]
    conditions = [rule.text("if") for rule in rules if rule.text("if")]
    said = [text for text in conditions if "CI_PIPELINE_SOURCE" not in text]
    notes = [Note(f"rules: if: {text}", Place(file, text.line)) for text in said]
    for rule in rules:
        notes += unread_keys(rule, {"if", "when", "changes"}, file)
    if (forgiven := job.get("allow_failure")) and forgiven != "false":
        notes.append(Note("allow_failure: here its failure counts", Place(file, forgiven.line)))
    if (parallel := job.text("parallel")) not in ("", "1"):
        about = f"parallel {parallel}: `jobs` shards a suite's tests, not what is in one of them"
        notes.append(Note(about, Place(file, parallel.line)))
    only = {"only"} if job.texts("only") == ("schedules",) else set()
    notes += unread_keys(job, _READ | _OF_NO_TEST | only, file)
    paths = [path for rule in rules for path in (*rule.texts("changes"), *rule.table("changes").texts("paths"))]
    scheduled = "schedules" in job.texts("only") or (
        any(conditions) and all("schedule" in text for text in conditions)
    )
    by_hand = job.text("when") == "manual" or (bool(rules) and all(rule.text("when") == "manual" for rule in rules))
    return replace(
        suite,
        always=bool(suite.tests) and not by_hand and not (scheduled and not said),
        paths=tuple(dict.fromkeys(path.lstrip("/") for path in paths)),
        notes=(*suite.notes, *notes),
    )


def _add_lines(value: Value | None, known: Mapping[str, Value], lines: list[Text], room: list[int]) -> None:
    """Add the lines of a script; lists within it, and ``!reference [job, script]``, are written out.

    ``room`` holds how many values more are looked at: references can name each other.
    """
    room[0] -= 1
    if isinstance(value, Text):
        lines.append(value)
    elif isinstance(value, Items):
        path = [one for one in value if isinstance(one, Text)]
        base = known.get(path[0]) if len(path) == len(value) == 2 else None
        inner = [base[path[1]]] if isinstance(base, Table) and path[1] in base else list(value)
        for one in inner:
            if room[0] > 0:
                _add_lines(one, known, lines, room)


def _values(table: Table) -> dict[str, Value]:
    """Variables; one with a description has its value below it."""
    return {key: value.text("value") if isinstance(value, Table) else value for key, value in table.items()}


def _rows(matrix: Value | None) -> list[Table]:
    rows: list[Table] = []
    for one in matrix if isinstance(matrix, Items) else ():
        if isinstance(one, Table):
            axes: Sequence[Sequence[Text]] = [one.texts(key) for key in one]
            made = (Table(dict(zip(one, values, strict=True)), one.line) for values in product(*axes))
            rows += islice(made, _MOST_ROWS)
    return rows[:_MOST_ROWS]


def _text(value: Value | None) -> Text:
    return value if isinstance(value, Text) and "$" not in value else Text("", 1)


def _minutes(text: Text) -> Text:
    units = {"h": 60, "m": 1}
    total = sum(int(count) * units[unit.lower()] for count, unit in _TIME.findall(text))
    return Text(str(total) if total else "", text.line)
