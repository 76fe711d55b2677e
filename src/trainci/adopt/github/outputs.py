"""What the jobs before a job give it, as far as the script that makes it writes constants.

A matrix made in a run is read where its JSON stands in the script (``echo 'matrix=["a","b"]' >> $GITHUB_OUTPUT``, a
here-document with a row); of several that a condition chooses between, all rows count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from trainci.adopt.github.expressions import Context, substitute
from trainci.adopt.placed import Table, Text, Value, load_table
from trainci.adopt.shell.script import commands
from trainci.adopt.tree import Tree
from trainci.globs import is_glob, matches
from trainci.shell_words import Unreadable, expand, tokens

_STEP = re.compile(r"\$\{\{\s*steps\.([\w-]+)\.outputs\.([\w-]+)\s*\}\}")
_JOB = re.compile(r"\$\{\{\s*jobs\.([\w-]+)\.outputs\.([\w-]+)\s*\}\}")
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?[^\n]*\n(.*?)\n[ \t]*\1\b", re.DOTALL)
_SHELL_SCRIPT = re.compile(r"(?:^|[\s(;&|])(?:bash|sh)\s+(?:\./)?(\S+\.sh)\b")
_MOST_ROWS = 256
_MOST_DEPTH = 3
# Far beyond what anybody writes to make a matrix.
_LONGEST_SCRIPT = 64 * 1024


def outputs_of(job: Table, jobs: Table, tree: Tree) -> Table:
    """The context ``needs`` of a job: of each job before it, the outputs that are constants."""
    made = Table({}, job.line)
    for name in job.texts("needs"):
        outputs = _outputs(jobs.table(name), Table(), tree, 0)
        made[name] = Table({"outputs": outputs}, job.line)
    return made


def patterns_of(job: Table, jobs: Table, tree: Tree) -> list[str]:
    """The globs of files in the scripts of the jobs before a job, which ``ls tests/*.py`` and ``find`` list.

    One without a folder is of files anywhere: the script gets the folder from elsewhere.
    """
    found: dict[str, None] = {}
    for name in job.texts("needs"):
        for step in jobs.table(name).items_of("steps"):
            for script in _with_called(step.text("run"), tree) if isinstance(step, Table) else ():
                found |= dict.fromkeys(_patterns(script, tree))
    return list(found)


def _with_called(script: str, tree: Tree) -> Iterator[str]:
    """The script, and those of the repository that it starts."""
    yield script
    for path in dict.fromkeys(_SHELL_SCRIPT.findall(script)):
        if tree.is_file(path):
            yield tree.read(path)


def _outputs(job: Table, inputs: Table, tree: Tree, depth: int) -> Table:
    called = _called(job, tree) if depth < _MOST_DEPTH else None
    made = Table({}, job.line)
    if called is not None:
        given = Table({**_defaults(called), **job.table("with")}, job.line)
        for name, value in _triggers(called).table("outputs").items():
            source = value.text("value") if isinstance(value, Table) else Text("", job.line)
            if match := _JOB.fullmatch(source.strip()):
                inner = _outputs(called.table("jobs").table(match.group(1)), given, tree, depth + 1)
                made[name] = inner.get(match.group(2), Text("", job.line))
        return made
    for name, value in job.table("outputs").items():
        match = _STEP.fullmatch(value.strip()) if isinstance(value, Text) else None
        for step in job.items_of("steps") if match else ():
            if match and isinstance(step, Table) and step.text("id") == match.group(1):
                context = Context({"inputs": inputs, "env": Table(whole=False)})
                env = {
                    key: str(substitute(text, context)[0])
                    for table in (job.table("env"), step.table("env"))
                    for key, text in table.items()
                    if isinstance(text, Text) and "${{" not in substitute(text, context)[0]
                }
                script, _ = substitute(step.text("run"), context)
                made[name] = Text(_constant(script, match.group(2), tuple(env.items())), step.line)
    return made


def _called(job: Table, tree: Tree) -> Table | None:
    if not job.text("uses").startswith("./"):
        return None
    return load_table(tree.read(job.text("uses").removeprefix("./")))


def _triggers(workflow: Table) -> Table:
    return workflow.table("on").table("workflow_call")


def _defaults(workflow: Table) -> dict[str, Value]:
    declared = _triggers(workflow).table("inputs").items()
    return {name: value.text("default") for name, value in declared if isinstance(value, Table)}


@lru_cache(maxsize=256)  # each job that needs it asks
def _constant(script: str, name: str, given: tuple[tuple[str, str], ...]) -> str:
    """The JSON of the output ``name``, "" where the script writes none. ``given`` is the environment it gets."""
    if len(script) > _LONGEST_SCRIPT:
        return ""
    env = dict(given)
    said = _json_values(_written(script, name, env))
    if not said:
        rows = [one for one in _json_values(_heredocs(script, env)) if isinstance(one, dict)]
        whole = [row for row in rows if "include" in row]
        said = [*whole, *([{"include": rows}] if rows and not whole else [])]
    if len(said) < 2:
        return json.dumps(said[0]) if said else ""
    # A condition of the shell chooses between them.
    of_tables = all(isinstance(one, dict) for one in said)
    joined: list[object] = []
    for one in said:
        listed = one.get("include") if isinstance(one, dict) else one
        joined += (row for row in listed if row not in joined) if isinstance(listed, list) else ()
    return json.dumps({"include": joined} if of_tables else joined) if len(joined) <= _MOST_ROWS else ""


def _written(script: str, name: str, env: Mapping[str, str]) -> Iterator[str]:
    """What the words ``name=…`` and ``::set-output name=name::…`` stand for, where they are constants."""
    said = name in script or any(name in value for value in env.values())
    for command in commands(script, 1, env) if said else ():
        for word in command.words:
            for mark in (f"{name}=", f"::set-output name={name}::"):
                if word.startswith(mark):
                    yield word.removeprefix(mark)


def _heredocs(script: str, env: Mapping[str, str]) -> Iterator[str]:
    """The here-documents, with the variables that are set to constants anywhere in the script."""
    known: dict[str, str | None] = dict(env)
    for match in re.finditer(r"^\s*([A-Za-z_]\w*)=(\S+)$", script, re.MULTILINE):
        try:
            assigned = expand(match.group(2), known)
        except (ValueError, Unreadable, RecursionError):
            continue
        known[match.group(1)] = None if assigned.open else assigned.text
    for match in _HEREDOC.finditer(script):
        yield re.sub(r"\$\{?(\w+)\}?", lambda one: known.get(one.group(1)) or one.group(), match.group(2))


def _json_values(texts: Iterator[str]) -> list[object]:
    made: list[object] = []
    for text in texts:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, (list, dict)) and value and not _says_nothing(value):
            made.append(value)
    return made


def _says_nothing(value: list[object] | dict[str, object]) -> bool:
    """Whether it is the matrix of a run that found nothing."""
    return isinstance(value, dict) and [] in value.values()


def _patterns(script: str, tree: Tree) -> Iterator[str]:
    try:
        listed = [
            token.text.strip("'\"") for token in tokens(re.sub(r"[$<]\(", " \n", script).replace(")", " "), 1)
        ]
    except (Unreadable, RecursionError):
        return
    for at, word in enumerate(listed):
        pattern = word
        if word in ("-name", "-path") and "find" in listed[:at]:
            start = len(listed[:at]) - 1 - listed[:at][::-1].index("find")
            folder = listed[start + 1].strip("./")
            pattern = listed[at + 1] if at + 1 < len(listed) else ""
            pattern = f"{folder}/**/{pattern}" if folder and "$" not in folder else pattern
        pattern = pattern.removeprefix("./")
        is_of_tests = is_glob(pattern) and pattern.endswith((".py", ".sh"))
        found_by = pattern if "/" in pattern else f"**/{pattern}"
        if is_of_tests and any(matches(file, found_by) for file in tree.files):
            yield pattern
