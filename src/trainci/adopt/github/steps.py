"""The steps of a GitHub job: which are tests, which prepare them, and what their environment is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from trainci.adopt.commands.called_tests import speaks_of_tests
from trainci.adopt.commands.docker import DockerRun, read_docker_run
from trainci.adopt.commands.entries import one_line, read_command, runs_something
from trainci.adopt.commands.handed_on import handed_on
from trainci.adopt.commands.unfold import unfolded
from trainci.adopt.github.checkouts import Checkout, is_checkout, read_checkout
from trainci.adopt.github.composite import action_file, composite_action, in_full, inputs
from trainci.adopt.github.expressions import Context, Unknown, is_true, substitute
from trainci.adopt.github.kept import Kept
from trainci.adopt.github.run_values import hidden, is_hidden, is_open, of_any_row, shown
from trainci.adopt.github.step_fields import condition_of, is_off, minutes, name_of
from trainci.adopt.placed import Items, Table, Text
from trainci.adopt.proposal import Entry, Note, Place
from trainci.adopt.shell.script import Command, commands
from trainci.adopt.tree import CLONED, Tree

_SECRET = re.compile(r"\$\{\{\s*secrets\.(\w+)\s*\}\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Actions that are no matter of how tests run.
_OF_NO_TEST = re.compile(r"actions/(?:checkout|cache|upload-artifact)\b|codecov/|EndBug/|.*report")
_SHELLS = re.compile(r"(?:ba|da|)sh\b|^$")
# What an action, or a workflow of somebody else, calls the script that it is to run.
SCRIPT_KEYS = ("script", "execute_command", "command", "run")
_RUNS_SUITE = re.compile(r"--suite[= ]([\w.-]+)")
_PARTS = re.compile(r"--auto-partition-size[= ](\d+)")
_MOST_DEPTH = 3
# Commands that one stands for: goals of make can call each other.
_MOST_WITHIN = 500
# Far beyond what anybody writes into a workflow.
_LONGEST_SCRIPT = 64 * 1024


@dataclass
class StepReader:
    """Collects what the steps of one job say, in their order."""

    file: str
    tree: Tree
    testpaths: Sequence[str]
    patterns: Sequence[str] = ()
    entries: list[Entry] = field(default_factory=list)
    preparations: dict[str, Place] = field(default_factory=dict)
    notes: dict[Note, None] = field(default_factory=dict)
    secrets: dict[str, None] = field(default_factory=dict)
    image: str = ""
    mounts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    detects_changes: bool = False
    registered: dict[str, int | None] = field(default_factory=dict)
    registering: list[dict[str, str]] = field(default_factory=list)
    python_versions: dict[str, None] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    unread: dict[Note, None] = field(default_factory=dict)
    scripts: dict[Place, str] = field(default_factory=dict)
    found: dict[Place, None] = field(default_factory=dict)
    row: Table | None = None
    kept: Kept = field(default_factory=Kept)
    after: dict[str, Place] = field(default_factory=dict)

    def note(self, text: str, line: int, *, left: bool = True) -> None:
        """Say something about a line, once."""
        self.notes.setdefault(Note(text, Place(self.file, line), left))

    def note_forgiven(self, of: Table) -> None:
        """Say of a job or a step, if its failure changes nothing, that here it does."""
        forgiven = of.text("continue-on-error")
        if forgiven not in ("", "false"):
            when = "" if forgiven == "true" else f": {forgiven.strip()}"
            self.note(f"continue-on-error{when}: here its failure counts", forgiven.line)

    def environment(self, table: Table, context: Context) -> dict[str, str]:
        """The constant variables of an ``env:``; its secrets are kept, other expressions noted."""
        made: dict[str, str] = {}
        for name, value in table.items():
            if not isinstance(value, Text) or not _VARIABLE.fullmatch(name) or "\0" in value:
                continue
            text, unknown = substitute(value, context)
            if secret := _SECRET.fullmatch(text.strip()):
                self._secret(name, secret.group(1), value.line)
            elif unknown:
                self.note(f"{name}: {value.strip()}: known in a run only", value.line)
                self.unknown[name] = str(value)
            else:
                made[name] = str(text)
        return made

    def _secret(self, name: str, secret: str, line: int) -> None:
        if secret.upper().startswith("GITHUB_"):
            self.note(f"{name} is GitHub's own token, which tests do not get", line)
            return
        self.secrets[name] = None
        if name != secret:
            self.note(f"{name} is the secret {secret}; a secret keeps its name under trainci: name it {name}", line)

    def steps(self, steps: Items, env: dict[str, str], folder: str, context: Context, depth: int = 0) -> None:
        """Read the steps; those of this repository's own composite actions, too."""
        for step in steps:
            if not isinstance(step, Table) or is_off(step, context):
                continue
            before = len(self.entries)
            if run := step.text("run"):
                shell, _ = substitute(step.text("shell"), context)
                self.scripts.setdefault(Place(self.file, run.line), substitute(run, context)[0])
                if _SHELLS.match(shell):
                    known = {**env, **(own := self.environment(step.table("env"), context))}
                    where, _ = substitute(step.text("working-directory"), context)
                    self._run(
                        run, name_of(step, context), known, own, "" if where == "." else where or folder, context
                    )
            elif uses := step.text("uses"):
                self._uses(uses, step, env, folder, context, depth)
            self.entries[before:] = self._limited(step, self.entries[before:], context)

    def _limited(self, step: Table, entries: list[Entry], context: Context) -> list[Entry]:
        """The tests of a step with its time limit, and notes of what it says about when they run and count."""
        if not entries:
            return []
        self.note_forgiven(step)
        condition = condition_of(step, context)
        if isinstance(condition, Unknown) or not is_true(condition):
            self.note(f"if: {step.text('if').strip()}: the step runs its tests only then", step.text("if").line)
        limit = minutes(step.text("timeout-minutes"))
        return [replace(entry, timeout_minutes=limit or entry.timeout_minutes) for entry in entries]

    def _uses(
        self, uses: Text, step: Table, env: dict[str, str], folder: str, context: Context, depth: int
    ) -> None:
        given = step.table("with")
        uses = Text(in_full(self.tree, uses, given), uses.line)
        if not uses.startswith("./") and (version := given.text("python-version")):
            version, unknown = substitute(version, context)
            if not unknown:
                self.python_versions[str(version)] = None
        elif uses.startswith("./") and depth < _MOST_DEPTH:
            action = composite_action(self.tree, uses)
            if action is None:
                self.note(f"uses {uses}, which is not read", uses.line)
                return
            inside = Context({**context.values, "inputs": inputs(action.table("inputs"), given, context)})
            reader, self.file = self.file, action_file(self.tree, uses)
            self.steps(action.table("runs").items_of("steps"), env, folder, inside, depth + 1)
            self.file = reader
        elif checkout := read_checkout(step, self.tree, context):
            self._checked_out(checkout, uses.line)
        else:
            if not _OF_NO_TEST.match(uses):
                self.note(f"not carried over: uses {uses}", uses.line, left=False)
            is_shell = "github-script" not in uses
            scripts = [given.text(key) for key in SCRIPT_KEYS if given.text(key)]
            for script in scripts if is_shell else ():
                self._run(script, name_of(step, context), env, {}, folder, context)
            for text in scripts or (value for value in given.values() if isinstance(value, Text)):
                self.scripts.setdefault(Place(self.file, text.line), substitute(text, context)[0])

    def _checked_out(self, checkout: Checkout, line: int) -> None:
        if not checkout.line:
            self.kept.own.add(checkout.folder)
            return
        self.kept.cloned.add(checkout.folder)
        self._prepare(checkout.line, Place(self.file, line))
        if ref := checkout.open_ref:
            self.note(f"{checkout.folder} is cloned at {ref.strip()}: known in a run only", ref.line)

    def _run(
        self, run: Text, step: str, known: dict[str, str], own: dict[str, str], folder: str, context: Context
    ) -> None:
        script, _ = substitute(run, context)
        if len(script) > _LONGEST_SCRIPT:
            self.note("too long a script to be read", run.line)
            return
        if all(mark in script for mark in ("git diff", "--name-only", "GITHUB_OUTPUT", "matrix", "test")):
            self.detects_changes = True
            return
        script = Text(hidden(script), script.line)
        before = dict(self.kept.written)
        known = {**known, **before}
        where = self.tree.within(self.kept.inside(folder))
        for command in commands(script, run.line, {**self.unknown, **known}, where, self.kept.cloned):
            if is_checkout(command.words, shown(command.raw), self.tree):
                continue
            if (names := self.kept.keeps(command)) is not None:
                for name in names:
                    self.note(f"{name}: known in a run only", command.line)
            elif (lines := self.kept.script_of(command)) is not None:
                self.found.setdefault(Place(self.file, lines.line))
                self._run(Text(lines, command.line), step, known, own, folder, Context())
                continue
            count = len(self.entries)
            launched = handed_on(command)
            self.image = self.image or (launched.image if launched else "")
            inner = launched.command if launched else command
            for outer, given in self._uncontained(inner, script, run.line, known):
                for part in islice(unfolded(self._here(outer), known, self.tree), _MOST_WITHIN):
                    made = replace(part, env=tuple({**before, **own, **dict(part.env)}.items()))
                    self._read(self._here(made), step, given)
            gpus = launched.gpus if launched else None
            self.entries[count:] = [_on(entry, gpus) for entry in self.entries[count:]]

    def _here(self, command: Command) -> Command:
        """The command with the folder and the files of this repository, however the job's machine calls them."""
        own = tuple(f"{folder}/" for folder in self.kept.own)
        words = tuple(self.kept.inside(word) if own and word.startswith(own) else word for word in command.words)
        words = tuple(self.tree.within(word) if word.startswith("/") else word for word in words)
        folder = command.folder if command.folder.startswith(CLONED) else self.kept.inside(command.folder)
        return replace(command, folder=self.tree.within(folder), words=words)

    def _uncontained(
        self, command: Command, script: str, line: int, known: dict[str, str]
    ) -> Iterator[tuple[Command, dict[str, str]]]:
        """The commands that a container is made for, each with what it gives its tests; or the command."""
        docker = read_docker_run(command.words[2:])
        if command.words[:2] != ("docker", "run") or command.trouble or not docker.script:
            yield command, {}
            return
        self._container(docker, line, known)
        start = line + script.count("\n", 0, max(script.find(docker.script[:60]), 0))
        inside = {name: value for name, value in docker.env if "$" not in value}
        for name in [name for name, _ in docker.env if name not in inside]:
            self.note(f"{name} of docker run: known in a run only", line)
        # What the script fills into its words itself needs no variable of the test's.
        given = {name: value for name, value in inside.items() if not re.search(rf"\${{?{name}\b", docker.script)}
        for one in commands(docker.script, start, {**known, **inside}, self.tree.within(docker.folder)):
            yield one, given

    def _container(self, docker: DockerRun, line: int, known: dict[str, str]) -> None:
        if "$" in docker.image:
            self.note(f"container image {docker.image}: known in a run only", line)
        else:
            self.image = self.image or docker.image
            self._not_built_here(docker.image)
        self.mounts = self.mounts or docker.mounts
        own = {*known, *self.secrets, *self.unknown}
        handed_on = tuple(f"-e {name}" for name in docker.passed if name not in own)
        self.options = self.options or (*docker.options, *handed_on)
        for option in docker.refused:
            self.note(f"{option}: GitHub allows it in no job's container", line, left=False)

    def _not_built_here(self, image: str) -> None:
        """A job within a container cannot build it: what builds it is none of its set-up."""
        builds = re.compile(
            rf"\bdocker\s.*\bbuild\s.*(?:-t|--tag)[= ]['\"]?{re.escape(image)}(?![\w./:@-])", re.DOTALL
        )
        for line in [line for line in (*self.preparations, *self.after) if builds.search(line)]:
            place = self.after.pop(line, None) or self.preparations.pop(line)
            text = f"{image} is built by the job itself: a job's container is pulled, so push it, and name it here"
            self.notes.setdefault(Note(text, place))

    def _read(self, command: Command, step: str, given: dict[str, str]) -> None:
        place = Place(self.file, command.line)
        if suite := _RUNS_SUITE.search(" ".join(command.words)):
            self.found.setdefault(place)
            parts = _PARTS.search(" ".join(command.words))
            self.registered[suite.group(1)] = int(parts.group(1)) if parts else None
            self.registering.append({**given, **dict(command.env)})
            self._reach_test()
            return
        for text in (text for text in command.shell if "${{" in text):
            if (name := text.partition("=")[0]) not in command.open and not command.trouble:
                self.note(f"{name}: known in a run only", command.line)
                command = replace(command, shell=tuple(one for one in command.shell if one != text))
        read = read_command(command, step, place, self.tree, self.testpaths, bool(self.entries))
        by_row = self.row is not None and (command.open or command.local or command.trouble)
        if by_row and (read.is_test or runs_something(command)):
            return  # the row says what it runs
        for entry in (of_any_row(one, self.patterns, self.tree) for one in read.entries):
            if open_ := [name for name, value in entry.env if is_hidden(value)]:
                self.note(f"{', '.join(open_)}: known in a run only", command.line)
                entry = replace(entry, env=tuple(pair for pair in entry.env if pair[0] not in open_))
            if is_open(entry):
                self.unread.setdefault(Note(f"known in a run only: {shown(command.raw)}", place))
            else:
                self._reach_test()
                self.found.setdefault(place)
                self.entries.append(replace(entry, env=tuple({**given, **dict(entry.env)}.items())))
        if is_hidden(read.preparation):
            text = f"left out, known in a run only: {shown(read.preparation)}"
            self.notes.setdefault(Note(text, place))
        elif read.preparation:
            self._prepare(read.preparation, place)
        if read.note:
            note = replace(read.note, text=shown(read.note.text))
            (self.unread if read.is_test else self.notes).setdefault(note)

    def _prepare(self, line: str, place: Place) -> None:
        (self.after if self.entries or self.registered else self.preparations).setdefault(line, place)

    def unheard(self) -> Iterator[Note]:
        """A note for each line that speaks of tests in a script of which no test was read, nor any left."""
        places = {*self.found, *(note.place for note in self.unread)}
        for start, script in self.scripts.items():
            number = start.line
            end = start.line + len(script.splitlines())
            if not any(place.file == start.file and start.line <= place.line < end for place in places):
                for command in re.split(r"(?<!\\)\n", script):
                    written = command.split("\n")
                    if speaks_of_tests(command):
                        at = next((at for at, line in enumerate(written) if speaks_of_tests(line)), 0)
                        text = f"not read as a test: {one_line(written[at])}"
                        yield Note(text, Place(start.file, number + at))
                    number += len(written)

    def _reach_test(self) -> None:
        """What stands between two tests prepares the later one; what no test follows is none of their set-up."""
        for line, place in self.after.items():
            self.preparations.setdefault(line, place)
        self.after.clear()


def _on(entry: Entry, gpus: int | None) -> Entry:
    return entry if entry.num_gpus is not None else replace(entry, num_gpus=gpus)
