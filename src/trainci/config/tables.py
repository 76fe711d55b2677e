"""The tables of ``trainci.toml``: which keys there are, what each may hold, what it is when it is left out."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from trainci.config import github_values as github
from trainci.config import values as allowed
from trainci.config.executor_tables import ExecutorsTable
from trainci.config.fields import (
    Argument,
    Env,
    Glob,
    Gpus,
    Interpreter,
    Minutes,
    Mount,
    Retries,
    RunsOn,
    Secret,
    SuiteName,
    Table,
    TakenIn,
    Target,
)
from trainci.config.metric_tables import Metrics
from trainci.config.verdict_tables import QuarantineTable, VerdictsTable
from trainci.findings import CODES

CONFIG_FILE = "trainci.toml"


class RetriesTable(Table):
    """How often what a test ended as is tried again."""

    machine: Retries | None = Field(None, description="The machine's fault; what [verdicts] says when left out.")
    others: Retries | None = Field(None, description="Whatever else is red; 0 by default.")


class SettingsTable(Table):
    """What project, suite and entry may each say; the inner one wins."""

    env: Env = Field({}, description="Environment variables of the tests.")
    install: Argument = Field("", description="Shell command that installs the repository in a job.")
    setup: list[Argument] = Field([], description="Shell lines of a job before `install`.")
    python: Interpreter | None = Field(
        None, description='The interpreter of the tests, or what launches it: "uv run --extra vllm python".'
    )
    python_version: StrictStr = Field("", description="Python of a job on a machine of GitHub's, such as 3.11.")
    secrets: Annotated[list[Secret], AfterValidator(github.distinct)] = Field(
        [], description="Names of the secrets that the tests get; a fork's never do."
    )
    timeout_minutes: Minutes | None = Field(None, description="Time limit of each test.")
    stall_minutes: Minutes | None = Field(
        None, description="A test that shows no progress for so long has hung; 10 by default."
    )
    num_gpus: Gpus | None = Field(None, description="Devices of a test whose file does not declare NUM_GPUS.")
    num_nodes: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = Field(
        None, description="Nodes of a test whose file does not declare NUM_NODES; its devices are those of each."
    )
    retries: Annotated[RetriesTable, BeforeValidator(allowed.retries_of_others)] | None = Field(
        None, description="How many more times a red test is tried: a number, or { machine = 2, others = 1 }."
    )
    fail_on_flaky: StrictBool | None = Field(
        None, description="A test that failed, and passed when it was tried again, fails the run."
    )
    executor: Literal["local", "ray", "slurm"] | None = Field(
        None, description="What runs the tests, unless `--executor` says otherwise: this host, or an engine."
    )
    metrics: Metrics = Field({}, description="What metrics that tests record must be, beside their own METRICS.")


class StepTable(Table):
    """A test, or one step of it: what is started, and how. One of `path`, `module` and `command`."""

    _started: ClassVar[tuple[str, ...]] = ("path", "module", "command")

    path: Target | None = Field(
        None, description="A file, a folder for pytest, a test of it (`file.py::test`), or a glob of files."
    )
    module: Annotated[StrictStr, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")] | None = Field(
        None, description="Started as `python -m MODULE`."
    )
    command: Annotated[list[Argument], Field(min_length=1)] | None = Field(
        None, description="Any other command, one word a string; no shell reads it. Give it a `name`."
    )
    runner: Literal["python", "pytest", "shell", "torchrun"] | None = Field(
        None, description="What starts `path`, where the file does not show it."
    )
    args: list[Argument] = Field([], description="Arguments after it, one string each; never split.")
    env: Env = Field({}, description="Environment variables of this variant.")

    @model_validator(mode="after")
    def _starts_one_thing(self) -> StepTable:
        allowed.started({name: bool(getattr(self, name)) for name in self._started})
        if self.runner and not self.path:
            raise ValueError("`runner` says what starts `path`, and there is none")
        if self.runner == "pytest" or not self.path or "::" not in self.path:
            return self
        if self.runner:
            raise ValueError(f"{self.path} names a test inside a file, which only pytest starts")
        return self


class EntryTable(SettingsTable, StepTable):
    """One test of a suite. A plain path is short for `{ path = "…" }`."""

    _started: ClassVar[tuple[str, ...]] = ("path", "module", "command", "steps")

    steps: list[Annotated[StepTable, BeforeValidator(allowed.entry_from_path)]] = Field(
        [], description="Instead of one command several, in one lease; give it a `name`."
    )
    exclude: list[Glob] = Field([], description="Globs of files that the glob in `path` leaves out.")
    name: Argument = Field("", description="Its id, instead of what it starts.")
    also: list[Glob] = Field([], description="Globs of files that it uses and nothing names: its data.")
    disabled: StrictStr = Field("", description="Why it is not run; it is listed as skipped.")

    @model_validator(mode="after")
    def _has_an_id(self) -> EntryTable:
        if (self.command or self.steps) and not self.name:
            raise ValueError("a test that is a `command` or `steps` needs a `name`, which is its id")
        if self.steps and (self.args or self.runner):
            raise ValueError("`args` and `runner` belong to each of the `steps`")
        if any(allowed.is_glob(step.path or "") for step in self.steps):
            raise ValueError("a step starts one thing, and no glob")
        if self.name and self.path and allowed.is_glob(self.path):
            raise ValueError("a glob stands for several tests, which cannot share one `name`")
        if self.exclude and not (self.path and allowed.is_glob(self.path)):
            raise ValueError("`exclude` leaves files out of a glob in `path`, and there is none")
        return self


class SuiteTable(SettingsTable):
    """A group of tests that one label starts."""

    label: Annotated[StrictStr, AfterValidator(github.label)] = Field(
        "", description="The pull-request label; `run-ci-<name>` when left out."
    )
    description: StrictStr = ""
    tests: Literal["all"] | list[Annotated[EntryTable, BeforeValidator(allowed.entry_from_path)]] = Field(
        [], description='The tests, or "all" for every registered test.'
    )
    select: Literal["changed"] | None = Field(None, description="Take the tests that a change touches.")
    always: StrictBool = Field(False, description="Run on every push and pull request, with no label.")
    image: Annotated[StrictStr, AfterValidator(github.image)] = Field(
        "", description="Container image of this suite, instead of the project's."
    )
    runs_on: RunsOn | None = Field(
        None, description="Labels of the runner, instead of the workflow's; ubuntu-latest when `always`."
    )
    schedule: Annotated[StrictStr, AfterValidator(github.cron)] = Field(
        "", description='When to run as well, as a cron line in UTC: "30 2 * * *".'
    )
    devices: Argument = Field("auto", description="What `trainci run --devices` gets in its job.")
    job: Annotated[StrictStr, AfterValidator(github.job_id)] = Field(
        "", description="Id of its job, so that a required check keeps its name; e2e-test-<name> when left out."
    )
    include: list[StrictStr] = Field([], description="Suites, by name, whose tests are tests of this one, too.")
    exclude: list[TakenIn] = Field([], description="Files (globs) and ids of tests that are left out.")
    paths: list[Glob] = Field([], description="Pushes start it only when they touch one of these (globs).")
    paths_ignore: list[Glob] = Field([], description="Changes of these files alone do not start it (globs).")
    branches: list[Annotated[StrictStr, AfterValidator(github.branch_pattern)]] = Field(
        [], description='Only pull requests against these branches and pushes to them: "main", "v0.*".'
    )
    drafts: StrictBool = Field(True, description="false: not for a draft, until it is ready for review.")
    jobs: Annotated[StrictInt, Field(ge=1, le=256)] | None = Field(
        None, description="Spread the tests over so many jobs, by their time; one job a test when left out."
    )
    pack: StrictBool = Field(
        False, description="One job of GitHub's, or of Slurm's, for all its tests; not with Ray."
    )
    comment: StrictBool = Field(False, description="Its verdicts stand in the one comment of the pull request.")


class ProjectTable(SettingsTable):
    """Defaults for the whole repository."""

    tests: list[Glob] = Field(
        ["tests/test_*.py", "tests/plugin_contracts/test_*.py"],
        description="Globs of the test files; `*` does not cross `/`, `**` does.",
    )
    base: Annotated[Argument, AfterValidator(github.branch)] = Field(
        "main", min_length=1, description="The branch that changes are compared with, as on `origin`."
    )
    default_gpus: Gpus | None = Field(None, description="Older name of this table's `num_gpus`.")
    max_gpus: Gpus = Field(8, description="Devices of the largest host that runs the tests.")
    image: Annotated[StrictStr, AfterValidator(github.image)] = Field(
        "", description="Container image of the jobs."
    )
    timeout_minutes: Minutes = Field(60, description="Time limit of a test that sets none.")
    history: Annotated[StrictStr, AfterValidator(allowed.history_url)] = Field(
        "", description="History that several hosts share: postgresql://HOST/DATABASE; a file here when left out."
    )
    artifacts: Annotated[Argument, AfterValidator(allowed.artifacts_url)] = Field(
        "", description="Where logs and reports of runs are also sent: s3://BUCKET/PREFIX, or an absolute path."
    )
    max_changed: Annotated[StrictInt, Field(ge=1)] | None = Field(
        None, description="How many tests one changed file may select through others; beyond it, a label is named."
    )
    state_dir: Annotated[Argument, AfterValidator(allowed.state_dir)] = Field(
        "", description="Where runs and the history are kept, instead of .trainci/: an absolute path, or ~/…."
    )
    keep: Annotated[StrictStr, AfterValidator(allowed.duration)] = Field(
        "30 days", description='How long the logs of runs are kept: "12 hours", "30 days", "8 weeks".'
    )
    keep_size: Annotated[StrictStr, AfterValidator(allowed.size)] = Field(
        "20 GB", description='How much of them is kept, the newest first: "500 MB", "20 GB".'
    )


class WorkflowTable(Table):
    """What only the workflow of `trainci generate` needs."""

    runs_on: RunsOn = Field(["self-hosted"], description="Labels of the runners that run the labelled suites.")
    trainci: Argument = Field(
        "",
        min_length=1,
        description="What pip installs as trainci in each job; its writer's version.",
    )
    lock_dir: Annotated[Argument, Field(pattern=r"^/[^:]+$")] = Field(
        "/dev/shm/trainci", description="The hosts' lease directory, mounted into every container."
    )
    mounts: list[Mount] = Field([], description='Model and dataset caches: "/on/the/host:/in/the/container".')
    container_options: Annotated[Argument, AfterValidator(github.container_options)] = Field(
        "--gpus all", description="Options of `docker create` for the jobs' containers."
    )
    queue_minutes: Minutes = Field(
        120, description="Added to each test's time limit in its job: the wait for devices, and the installation."
    )


class CatalogTable(Table):
    """How test files are read."""

    registers: list[Annotated[StrictStr, Field(pattern=r"^[A-Za-z_]\w*$")]] = Field(
        [], description="Functions by whose call a test file names its suite: register_ci(suite=…, num_gpus=…)."
    )


class AffectedTable(Table):
    """What a change of some paths reaches beyond what trainci finds by itself."""

    paths: list[Glob] = Field(min_length=1, description="Globs of the files whose change this is about.")
    suites: list[StrictStr] = Field([], description="The suites that such a change selects, by name.")
    tests: list[Glob] = Field([], description="The tests that it selects: files, globs of them, or ids.")
    nothing: StrictBool = Field(False, description="Such a change reaches no test, whatever uses the file.")


class AcceptTable(Table):
    """A finding of `trainci check` that is taken as it is."""

    code: Literal[CODES] = Field(description="Its kind, as docs/checks.md lists them.")  # type: ignore[valid-type]
    path: Argument = Field(min_length=1, description="The file (a glob) or the id of the test that it is about.")
    reason: StrictStr = Field(min_length=1, description="Why.")


class CheckTable(Table):
    """What only `trainci check` needs."""

    accept: list[AcceptTable] = Field([], description="Findings that are taken as they are.")


class FileTable(Table):
    """trainci.toml: the suites, labels and limits of a repository under trainci."""

    project: ProjectTable = Field(default_factory=lambda: ProjectTable())
    catalog: CatalogTable = Field(default_factory=lambda: CatalogTable())
    executors: ExecutorsTable = Field(default_factory=lambda: ExecutorsTable())
    workflow: WorkflowTable = Field(default_factory=lambda: WorkflowTable())
    verdicts: VerdictsTable = Field(default_factory=lambda: VerdictsTable())
    suites: dict[SuiteName, SuiteTable] = Field({})
    quarantine: list[QuarantineTable] = Field([], description="Tests that are known to be bad.")
    affected: list[AffectedTable] = Field([], description="What a change of some paths reaches.")
    check: CheckTable = Field(default_factory=lambda: CheckTable())


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
