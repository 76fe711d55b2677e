"""What the plugins of a step of Buildkite say of the container that its commands run in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from trainci.adopt.placed import Table, Text, Value, load_table
from trainci.adopt.proposal import Note, Place
from trainci.adopt.tree import Tree
from trainci.adopt.unread_keys import tests_in

_COMPOSE = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")


@dataclass
class Plugged:
    """``notes`` are of what is not carried over, ``unread`` of tests that a plugin starts itself."""

    image: Text
    env: Table
    gpus: int | None = None
    notes: list[Note] = field(default_factory=list)
    unread: list[Note] = field(default_factory=list)


def read_plugins(step: Table, file: str, tree: Tree) -> Plugged:
    """The plugins of the step; only those that make its container are known."""
    found = Plugged(Text("", step.line), Table({}, step.line))
    for plugin, said in _plugins(step):
        name = re.sub(r"^.*/|(?:-buildkite-plugin)?(?:#.*)?$", "", plugin)
        config = said if isinstance(said, Table) else Table({}, said.line)
        place = Place(file, said.line or step.line)
        if name == "docker":
            _container(config, found, place)
        elif name == "docker-compose":
            _composed(config, found, place, tree)
        elif name == "kubernetes":
            _of_kubernetes(config, found)
        else:
            found.notes.append(Note(f"not carried over: the plugin {plugin}", place))
        found.unread += tests_in(said, file)
    return found


def _plugins(step: Table) -> Iterator[tuple[str, Value]]:
    for one in step.items_of("plugins") or [step.table("plugins")]:
        if isinstance(one, Text):
            yield str(one), Table({}, one.line)
        elif isinstance(one, Table):
            yield from one.items()


def _container(config: Table, found: Plugged, place: Place) -> None:
    found.image = found.image or config.text("image")
    listed = [text.partition("=") for text in config.texts("environment")]
    for name, equals, value in listed:
        if equals:
            found.env[name] = Text(value, place.line)
        else:
            found.notes.append(Note(f"{name} is handed on by the agent: `env` or `secrets` gives it", place))
    found.env |= config.table("environment")
    for volume in config.texts("volumes"):
        found.notes.append(Note(f"not carried over: volume {volume}: `mounts` of [workflow] has it", place))


def _composed(config: Table, found: Plugged, place: Place, tree: Tree) -> None:
    if not (run := config.text("run")):
        return
    files = config.texts("config") or [name for name in _COMPOSE if tree.is_file(name)][:1]
    documents = [load_table(tree.read(str(name))) for name in files]
    services = [document.table("services").table(run) for document in documents if document]
    service = Table({key: value for one in services for key, value in one.items()}, run.line)
    _container(service, found, place)
    if not service.text("image"):
        found.notes.append(
            Note(f"the image of {run} of docker-compose is built in a run: name it as `image`", place)
        )
    if len(others := [name for document in documents if document for name in document.table("services")]) > 1:
        started = ", ".join(name for name in others if name != run)
        found.notes.append(Note(f"not carried over: the services {started} of docker-compose", place))


def _of_kubernetes(config: Table, found: Plugged) -> None:
    for container in config.table("podSpec").items_of("containers"):
        if isinstance(container, Table):
            found.image = found.image or container.text("image")
            pairs = [one for one in container.items_of("env") if isinstance(one, Table) and "value" in one]
            found.env |= {str(one.text("name")): one.text("value") for one in pairs}
            limits = container.table("resources").table("limits")
            counts = [limits.text(f"{vendor}.com/gpu") for vendor in ("nvidia", "amd")]
            found.gpus = next((int(count) for count in counts if re.fullmatch(r"\d{1,3}", count)), found.gpus)
