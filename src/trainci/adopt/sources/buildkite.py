"""Steps of Buildkite: each with commands that run tests is a suite, written as a job of GitHub's and read as that.

Format: https://buildkite.com/docs/pipelines/configure/step-types/command-step, and the keys that vLLM's generator
adds (``num_gpus``, ``num_devices``, ``device``, ``mirror``, ``source_file_dependencies``, ``working_dir``).
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from trainci.adopt.github.jobs import read_job
from trainci.adopt.github.step_fields import minutes
from trainci.adopt.github.suites import of_job
from trainci.adopt.placed import Items, NotYaml, Table, Text, Value, joined_lines, load_yaml, with_texts
from trainci.adopt.proposal import Found, Note, Place, Suite
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.shell.launchers import slug
from trainci.adopt.sources.buildkite_plugins import Plugged, read_plugins
from trainci.adopt.sources.buildkite_uploads import uploads
from trainci.adopt.tree import Tree
from trainci.adopt.unread_keys import unread_keys

_MOST_DEPTH = 4
_MOST_FILES = 1_000
# Where an agent looks for a pipeline, and the folder that holds those that it is told of.
_FILES = re.compile(
    r"\.?buildkite\.(?:ya?ml|json)|buildkite/pipeline\.(?:ya?ml|json)|\.buildkite/.+\.(?:ya?ml|json)"
)
_LABEL = re.compile(r"pull_request\.labels\s+includes\s+[\"']([^\"']+)[\"']")
_MATRIX = re.compile(r"\{\{\s*matrix(?:\.([\w-]+))?\s*\}\}")
# What a pipeline or a group says for each of its steps.
_HANDED_DOWN = ("agents", "image", "if_changed")
_READ = {
    *("label", "name", "key", "command", "commands", "env", "agents", "plugins", "matrix", "image", "secrets"),
    *("if", "if_changed", "branches", "parallelism", "skip", "soft_fail", "timeout_in_minutes", "steps", "group"),
    *("num_gpus", "num_devices", "no_gpu", "device", "agent_pool", "gpu", "working_dir", "optional", "mirror"),
    "source_file_dependencies",
}
# What is no matter of how its tests run, nor of whether they do.
_OF_NO_TEST = {
    *("id", "identifier", "type", "depends_on", "allow_dependency_failure", "artifact_paths", "notify", "priority"),
    *("concurrency", "concurrency_group", "concurrency_method", "cancel_on_build_failing"),
}


def read(tree: Tree) -> Found:
    """The suites of every pipeline."""
    notes: list[Note] = []
    found: list[tuple[str, Table]] = []
    waiting = [path for path in tree.files if _FILES.fullmatch(path)]
    for file in waiting:  # grows by what a step uploads
        try:
            pipeline = load_yaml(tree.read(file))
        except NotYaml as error:
            notes.append(Note(f"is no YAML: {error}", Place(file, error.line)))
            continue
        whole = pipeline if isinstance(pipeline, Table) else Table({"steps": pipeline}, 1)
        for step in _steps(whole):
            found.append((file, step))
            others, said = uploads(_lines(step), file, tree)
            waiting += [other for other in others if other not in waiting and len(waiting) < _MOST_FILES]
            notes += said
            if trigger := step.text("trigger"):
                notes.append(Note(f"starts the pipeline {trigger}, which is not read", Place(file, trigger.line)))
    folders = Counter(str(step.text("working_dir")) for _, step in found if _lines(step))
    # The generator of vLLM's starts a step that says no folder in the one that most of them say.
    usual = next((folder for folder, count in folders.items() if folder and 2 * count >= folders.total()), "")
    paths = test_paths(tree)
    suites = [suite for file, step in found for suite in _suites(step, file, tree, paths, usual)]
    return Found(tuple(suites), tuple(notes))


def _steps(outer: Table, depth: int = 0) -> Iterator[Table]:
    """The steps, and those of groups, each with what is said for all of them."""
    for step in outer.items_of("steps") if depth < _MOST_DEPTH else ():
        if isinstance(step, Table):
            step = next((one for key in ("command", "commands") if (one := step.table(key))), step)
            made = Table({**{key: outer[key] for key in _HANDED_DOWN if key in outer}, **step}, step.line)
            made["env"] = Table({**outer.table("env"), **step.table("env")}, step.line)
            both = [text for one in (outer, step) if (text := one.text("if"))]
            made["if"] = Text(" && ".join(both), both[-1].line if both else step.line)
            yield made
            yield from _steps(made, depth + 1)


def _suites(step: Table, file: str, tree: Tree, testpaths: Sequence[str], usual: str) -> Iterator[Suite]:
    step = with_texts(step, _of_github)
    label = re.sub(r"\s*\$\{\{.*?\}\}", "", step.text("label") or step.text("name") or step.text("key"))
    plugged = read_plugins(step, file, tree)
    suites, reader = read_job(slug(label), _job(step, plugged, tree, usual), Table({}, 1), file, tree, testpaths)
    if not any(suite.tests for suite in suites):
        reader.unread |= dict.fromkeys(plugged.unread)
    place = Place(file, step.line)
    for suite in of_job(suites, reader, slug(label), place):
        yield _when(suite, step, label, plugged, tree) if suite.tests else suite


def _of_github(text: Text) -> Text:
    """The value as GitHub writes it. `$$` is a dollar that Buildkite leaves to the shell."""
    filled = _MATRIX.sub(lambda match: f"${{{{ matrix.{match.group(1) or 'matrix'} }}}}", text.replace("$$", "$"))
    return Text(filled, text.line, quoted=text.quoted)


def _job(step: Table, plugged: Plugged, tree: Tree, usual: str) -> Table:
    env = Table({**plugged.env, **step.table("env")}, step.line)
    for key in [key for key, value in env.items() if isinstance(value, Text) and re.search(r"\$(?!\{\{)", value)]:
        env[key] = Text(f"${{{{ {env[key]} }}}}", step.line)  # only a run knows it
    agents = [value for value in step.table("agents").values() if isinstance(value, Text)]
    agents += [step.text(key) for key in ("device", "agent_pool", "gpu") if step.text(key)]
    where = _folder(str(step.text("working_dir")) or usual, tree)
    image = step.text("image") or plugged.image
    job = Table(
        {
            # Lines of one step run in one shell.
            "steps": Items([Table({"run": text}, text.line) for text in joined_lines(_lines(step))], step.line),
            "env": env,
            "runs-on": Items(agents, step.line),
            "container": image if "$" not in image else Text("", step.line),
            "defaults": Table({"run": Table({"working-directory": Text(where, step.line)})}, step.line),
        },
        step.line,
    )
    if "matrix" in step:
        job["strategy"] = Table({"matrix": _matrix(step["matrix"])}, step.line)
    return job


def _matrix(said: Value) -> Table:
    setup = said.get("setup", Items()) if isinstance(said, Table) else said
    made = Table({**setup} if isinstance(setup, Table) else {"matrix": setup})
    adjustments = said.items_of("adjustments") if isinstance(said, Table) else ()
    for kind in ("include", "exclude"):
        rows = [one for one in adjustments if isinstance(one, Table) and (kind == "exclude") == _skips(one)]
        values = [one.get("with", Table()) for one in rows]
        made[kind] = Items([one if isinstance(one, Table) else Table({"matrix": one}) for one in values])
    return made


def _skips(step: Table) -> bool:
    return step.text("skip") not in ("", "false")


def _when(suite: Suite, step: Table, label: str, plugged: Plugged, tree: Tree) -> Suite:
    """The suite with what starts it, and what Buildkite alone knows of its machine."""
    file = suite.place.file
    notes = [*suite.notes, *plugged.notes]
    labels = _LABEL.findall(step.text("if"))
    for key in ("if", "branches") if not labels else ():
        if said := step.text(key):
            notes.append(Note(f"what starts it: {key}: {said}", Place(file, said.line)))
    parallel = step.text("parallelism")
    if parallel.isdigit() and int(parallel) > 1:
        about = f"parallelism {parallel}: `jobs` shards a suite's tests, not what is in one of them"
        notes.append(Note(about, Place(file, parallel.line)))
    for name, other in step.table("mirror").items():
        where = (other.text("device") or other.text("agent_pool")) if isinstance(other, Table) else ""
        about = f"mirror {name}: the same tests on {where or name}, too: a suite with `include` and its `runs_on`"
        notes.append(Note(about, Place(file, step.table("mirror").line)))
    if (forgiven := step.get("soft_fail")) and forgiven != "false":
        notes.append(Note("soft_fail: here its failure counts", Place(file, forgiven.line)))
    notes += unread_keys(step, _READ | _OF_NO_TEST, file)
    for adjusted in step.table("matrix").items_of("adjustments"):
        notes += unread_keys(adjusted, {"with", "skip"}, file) if isinstance(adjusted, Table) else ()
    changed = step.table("if_changed")
    paths = [*step.texts("source_file_dependencies"), *step.texts("if_changed"), *changed.texts("include")]
    ignored = [*(path[1:] for path in paths if path.startswith("!")), *changed.texts("exclude")]
    secrets = [*step.texts("secrets"), *step.table("secrets")]
    tests = suite.tests
    if _skips(step):
        reason = "skipped" if step.text("skip") == "true" else str(step.text("skip"))
        tests = tuple(replace(entry, disabled=reason) for entry in tests)
    own = next((number for number in (_gpus(step), plugged.gpus) if number is not None), suite.num_gpus)
    return replace(
        suite,
        job="",
        description=label,
        label=labels[0] if labels else "",
        always=step.text("optional") != "true" and not labels,
        paths=tuple(_glob(path, tree) for path in paths if not path.startswith("!")),
        paths_ignore=tuple(_glob(path, tree) for path in ignored),
        num_gpus=own,
        timeout_minutes=minutes(step.text("timeout_in_minutes")),
        secrets=tuple(dict.fromkeys((*suite.secrets, *secrets))),
        tests=tests,
        notes=tuple(notes),
    )


def _lines(step: Table) -> tuple[Text, ...]:
    """Its commands; those of lists within the list (one a node, of vLLM's), too."""
    lines: list[Text] = []
    waiting: list[Value] = [*(step.items_of("commands") or step.items_of("command"))]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, Text):
            lines.append(one)
        elif isinstance(one, Items):
            waiting = [*one, *waiting]
    return tuple(lines)


def _gpus(step: Table) -> int | None:
    said = [step.text(key) for key in ("num_gpus", "num_devices")]
    if number := next((text for text in said if re.fullmatch(r"\d{1,3}", text)), ""):
        return int(number)
    return 0 if step.text("no_gpu") == "true" else None


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
