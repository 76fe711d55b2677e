"""The tables of ``trainci.toml``: which keys there are, what each may hold, what it is when it is left out."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
)

from trainci.config import values as allowed
from trainci.text import printable

CONFIG_FILE = "trainci.toml"


def _existing_file(path: str, info: ValidationInfo) -> str:
    root: Path = (info.context or {})["root"]
    shown = printable(path) or "an empty string"
    if not allowed.inside(path):
        raise ValueError(f"{shown} is not inside the repository; write a path relative to its root")
    try:
        is_there = (root / path).is_file()
    except OSError as error:
        raise ValueError(f"{shown} cannot be read: {error.strerror}") from None
    if not is_there:
        raise ValueError(f"{shown} does not exist")
    if not (root / path).resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{shown} is a link that leads outside the repository")
    return posixpath.normpath(path)


Minutes = Annotated[float, Field(strict=True, gt=0, le=7 * 24 * 60, allow_inf_nan=False)]
Gpus = Annotated[StrictInt, Field(ge=0, le=1024)]
Argument = Annotated[StrictStr, AfterValidator(allowed.no_nul)]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(allowed.env_name)]
EnvValue = Annotated[Argument, BeforeValidator(allowed.env_value)]
Glob = Annotated[StrictStr, AfterValidator(allowed.glob_inside)]
TestFile = Annotated[StrictStr, AfterValidator(_existing_file)]
SuiteName = Annotated[str, AfterValidator(allowed.suite_name)]
RunsOn = Annotated[list[Argument], BeforeValidator(allowed.list_from_one), Field(min_length=1)]
Secret = Annotated[StrictStr, AfterValidator(allowed.secret_name)]
Mount = Annotated[Argument, AfterValidator(allowed.mount)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EntryTable(Table):
    """One test of a suite. A plain path is short for `{ path = "…" }`."""

    path: TestFile = Field(description="The test file, relative to the repository's root.")
    args: list[Argument] = Field([], description="Arguments after the file name, one string each; never split.")
    env: dict[EnvName, EnvValue] = Field({}, description="Environment variables of this variant.")
    num_gpus: Gpus | None = Field(None, description="Devices, for a file that does not declare NUM_GPUS itself.")
    timeout_minutes: Minutes | None = Field(None, description="Time limit of this test.")


class SuiteTable(Table):
    """A group of tests that one label starts."""

    label: StrictStr = Field("", description="The pull-request label; `run-ci-<name>` when left out.")
    description: StrictStr = ""
    tests: Literal["all"] | list[Annotated[EntryTable, BeforeValidator(allowed.entry_from_path)]] = Field(
        [], description='The tests, or "all" for every registered test.'
    )
    select: Literal["changed"] | None = Field(None, description="Take the tests that a change touches.")
    always: StrictBool = Field(False, description="Run on every push and pull request, with no label.")
    image: StrictStr = Field("", description="Container image of this suite, instead of the project's.")
    timeout_minutes: Minutes | None = Field(None, description="Time limit of each test of this suite.")
    runs_on: RunsOn | None = Field(
        None, description="Labels of the runner, instead of the workflow's; ubuntu-latest when `always`."
    )
    schedule: Annotated[StrictStr, AfterValidator(allowed.cron)] = Field(
        "", description='When to run besides, as a cron line in UTC: "30 2 * * *".'
    )
    secrets: list[Secret] = Field([], description="Names of the secrets that its tests get; a fork's never do.")
    devices: Argument = Field("auto", description="What `trainci run --devices` gets in its job.")


class ProjectTable(Table):
    """Defaults for the whole repository."""

    tests: list[Glob] = Field(
        ["tests/test_*.py", "tests/plugin_contracts/test_*.py"],
        description="Globs of the test files; `*` does not cross `/`, `**` does.",
    )
    base: Argument = Field(
        "main", min_length=1, description="The branch that changes are compared with, as on `origin`."
    )
    default_gpus: Gpus = Field(8, description="Devices of a test that declares no NUM_GPUS.")
    max_gpus: Gpus = Field(8, description="Devices of the largest host that runs the tests.")
    image: StrictStr = Field("", description="Container image of the jobs.")
    install: StrictStr = Field("", description="Shell command that installs the repository in a job.")
    timeout_minutes: Minutes = Field(60, description="Time limit of a test that sets none.")


class WorkflowTable(Table):
    """What only the workflow of `trainci generate` needs."""

    runs_on: RunsOn = Field(["self-hosted"], description="Labels of the runners that run the labelled suites.")
    trainci: Argument = Field(
        "trainci", min_length=1, description="What pip installs as trainci in each job, such as trainci==0.1.0."
    )
    lock_dir: Annotated[Argument, Field(pattern=r"^/[^:]+$")] = Field(
        "/dev/shm/trainci", description="The hosts' lease directory, mounted into every container."
    )
    mounts: list[Mount] = Field([], description='Model and dataset caches: "/on/the/host:/in/the/container".')
    container_options: Argument = Field(
        "--gpus all", description="Options of `docker create` for the jobs' containers."
    )
    queue_minutes: Minutes = Field(
        120, description="Added to each test's time limit in its job: the wait for devices, and the installation."
    )


class FileTable(Table):
    """trainci.toml: the suites, labels and limits of a repository under trainci."""

    project: ProjectTable = Field(default_factory=lambda: ProjectTable())
    workflow: WorkflowTable = Field(default_factory=lambda: WorkflowTable())
    suites: dict[SuiteName, SuiteTable] = {}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``trainci.toml``, for editors."""
    schema = FileTable.model_json_schema()
    entry = schema["$defs"]["EntryTable"]
    # A plain path is accepted in place of the table, which the validator hides from pydantic's own schema.
    schema["$defs"]["SuiteTable"]["properties"]["tests"]["anyOf"][1]["items"] = {
        "anyOf": [
            {"type": "string", "description": entry["properties"]["path"]["description"]},
            {"$ref": "#/$defs/EntryTable"},
        ]
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": CONFIG_FILE}
