"""Steps of Buildkite: each with commands that run tests is a suite.

Format: https://buildkite.com/docs/pipelines/configure/step-types/command-step, and the keys that vLLM's generator
adds (``num_gpus``, ``num_devices``, ``device``, ``mirror``, ``source_file_dependencies``, ``working_dir``).
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from trainci.adopt.commands.entries import one_line, read_command
from trainci.adopt.github.jobs import split_installation
from trainci.adopt.github.runners import gpus_of
from trainci.adopt.github.step_fields import minutes
from trainci.adopt.placed import Items, NotYaml, Table, Text, Value, joined_lines, load_yaml
from trainci.adopt.proposal import Entry, Found, Note, Place, Suite
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.sequences import sequences
from trainci.adopt.shell.launchers import slug
from trainci.adopt.shell.script import commands
from trainci.adopt.tree import Tree

_MOST_DEPTH = 4
_LABEL = re.compile(r"pull_request\.labels\s+includes\s+[\"']([^\"']+)[\"']")


def read(tree: Tree) -> Found:
    """The suites of every pipeline below ``.buildkite``."""
    suites: list[Suite] = []
    notes: list[Note] = []
    found: list[tuple[str, Table]] = []
    for file in tree.matching(".buildkite/*.yml") + tree.matching(".buildkite/*.yaml"):
        try:
            pipeline = load_yaml(tree.read(file))
        except NotYaml as error:
            notes.append(Note(f"is no YAML: {error}", Place(file, error.line)))
            continue
        steps = pipeline.items_of("steps") if isinstance(pipeline, Table) else pipeline
        found += ((file, step) for step in _steps(steps))
    folders = Counter(str(step.text("working_dir")) for _, step in found if _lines(step))
    # The generator of vLLM's starts a step that says no folder in the one that most of them say.
    usual = next((folder for folder, count in folders.items() if folder and 2 * count >= folders.total()), "")
    paths = test_paths(tree)
    suites += (made for file, step in found if (made := _suite(step, file, tree, paths, usual)))
    return Found(tuple(suites), tuple(notes))


def _steps(value: Value, depth: int = 0) -> Iterator[Table]:
    for step in value if isinstance(value, Items) and depth < _MOST_DEPTH else ():
        if isinstance(step, Table):
            yield step
            yield from _steps(step.items_of("steps"), depth + 1)


def _suite(step: Table, file: str, tree: Tree, testpaths: Sequence[str], usual: str) -> Suite | None:
    lines = _lines(step)
    label = str(step.text("label") or step.text("name") or step.text("key"))
    env = {name: str(value) for name, value in step.table("env").items() if isinstance(value, Text)}
    env |= _plugged_env(step)
    folder = _folder(str(step.text("working_dir")) or usual, tree)
    # Lines of one step run in one shell; `$$` is a dollar that Buildkite leaves to it.
    entries: list[Entry] = []
    notes: list[Note] = []
    preparations: list[str] = []
    for text in joined_lines(lines):
        for command in commands(text.replace("$$", "$"), text.line, env, folder):
            found = read_command(command, label, Place(file, command.line), tree, testpaths, bool(entries))
            entries += found.entries
            preparations += [found.preparation] if found.preparation else []
            notes += [found.note] if found.note else []
    if not entries:
        unread = tuple(note for note in notes if note.left)
        return Suite(name=slug(label), notes=unread) if unread else None
    agents = [str(value) for value in step.table("agents").values() if isinstance(value, Text)]
    agents += [str(step.text(key)) for key in ("device", "agent_pool", "gpu") if step.text(key)]
    labels = _LABEL.findall(step.text("if"))
    for key in ("if", "branches") if not labels else ():
        if said := step.text(key):
            notes.append(Note(f"what starts it: {key}: {one_line(said)}", Place(file, said.line)))
    parallel = step.text("parallelism")
    if parallel.isdigit() and int(parallel) > 1:
        about = f"parallelism {parallel}: `jobs` shards a suite's tests, not what is in one of them"
        notes.append(Note(about, Place(file, parallel.line)))
    for name, other in step.table("mirror").items():
        where = (other.text("device") or other.text("agent_pool")) if isinstance(other, Table) else ""
        about = f"mirror {name}: the same tests on {where or name}, too: a suite with `include` and its `runs_on`"
        notes.append(Note(about, Place(file, step.table("mirror").line)))
    image = next((text for text in _plugged(step, "image") if "$" not in text), "")
    paths = [str(path) for path in step.texts("source_file_dependencies")]
    setup, install = split_installation(preparations)
    return Suite(
        name=slug(label),
        description=label,
        label=labels[0] if labels else "",
        always=step.text("optional") != "true" and not labels,
        paths=tuple(_glob(path, tree) for path in paths if not path.startswith("!")),
        paths_ignore=tuple(_glob(path[1:], tree) for path in paths if path.startswith("!")),
        image=image,
        runs_on=tuple(agents),
        num_gpus=_gpus(step, agents),
        timeout_minutes=minutes(step.text("timeout_in_minutes")),
        setup=setup,
        install=install,
        env=tuple((name, value) for name, value in env.items() if re.fullmatch(r"[A-Za-z_]\w*", name)),
        tests=sequences(list(dict.fromkeys(entries)), tree),
        place=Place(file, step.line),
        notes=tuple(notes),
    )


def _lines(step: Table) -> tuple[Text, ...]:
    return step.texts("commands") or step.texts("command")


def _gpus(step: Table, agents: Sequence[str]) -> int | None:
    said = [step.text(key) for key in ("num_gpus", "num_devices", "mirror_hardwares")]
    said += [text for vendor in ("nvidia", "amd") for text in _plugged(step, f"{vendor}.com/gpu")]
    if number := next((text for text in said if re.fullmatch(r"\d{1,3}", text)), ""):
        return int(number)
    return 0 if step.text("no_gpu") == "true" else gpus_of(agents)


def _plugged(value: Value, key: str) -> Iterator[Text]:
    """The scalars of that key, however deep, in the plugins of a step (docker, kubernetes)."""
    if isinstance(value, Table):
        for name, child in value.items() if "plugins" not in value else [("", value["plugins"])]:
            if name == key and isinstance(child, Text):
                yield child
            elif not isinstance(child, Text):
                yield from _plugged(child, key)
    elif isinstance(value, Items):
        for child in value:
            yield from _plugged(child, key)


def _plugged_env(step: Table) -> dict[str, str]:
    """The constant variables that kubernetes' plugin gives the container of a step."""
    plugins = [one.table("kubernetes") for one in step.items_of("plugins") if isinstance(one, Table)]
    containers = [one for plugin in plugins for one in plugin.table("podSpec").items_of("containers")]
    variables = [one for table in containers if isinstance(table, Table) for one in table.items_of("env")]
    pairs = [(one.text("name"), one.text("value")) for one in variables if isinstance(one, Table)]
    return {str(name): str(value) for name, value in pairs if name and value and "$" not in value}


def _folder(path: str, tree: Tree) -> str:
    """The folder of the repository that a path of the pipeline's container means: its longest end that is there."""
    parts = [part for part in path.split("/") if part]
    for start in range(len(parts)):
        if tree.is_folder(folder := "/".join(parts[start:])):
            return folder
    return ""


def _glob(path: str, tree: Tree) -> str:
    folder = posixpath.normpath(path)
    return f"{folder}/**" if path.endswith("/") or tree.is_folder(folder) else folder
