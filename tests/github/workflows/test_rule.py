"""The rule of ``triggers`` and the generated ``if:`` expressions, over a table of events."""

from __future__ import annotations

import itertools
import json

import pytest
from github.workflows.conftest import generated, parsed, pull_request

from trainci.github.triggers import is_hosted

CONFIG = """\
[suites.short]
tests = ["tests/test_first.py"]

[suites.Quoted]
label = "it's a label"
tests = ["tests/test_first.py"]
schedule = "30 2 * * *"

[suites.contracts]
tests = ["tests/test_first.py"]
always = true

[suites.nightly]
tests = ["tests/test_first.py"]
always = true
runs_on = ["self-hosted", "gpu"]
schedule = "0 4 * * 1"
secrets = ["HF_TOKEN"]

[suites.hosted]
tests = ["tests/test_first.py"]
runs_on = "ubuntu-24.04"
schedule = "30 2 * * *"

[suites.changed]
select = "changed"
"""
LABELS = (
    "run-ci-short",
    "it's a label",
    "run-ci-contracts",
    "run-ci-nightly",
    "run-ci-hosted",
    "run-ci-changed",
    "bug",
)
OTHERS = ((), ("bug",), ("run-ci-short", "RUN-CI-Hosted", "documentation"), ("run-ci-shorter", "it", "s a label"))


def pull_requests():
    for action, label, others, fork in itertools.product(
        ("labeled", "unlabeled", "opened", "reopened", "synchronize"), LABELS, OTHERS, (False, True)
    ):
        yield "pull_request", pull_request(action, (*others, label), label, fork)
    gone = pull_request("synchronize", ["run-ci-short", "run-ci-hosted"])
    gone["pull_request"]["head"]["repo"] = None
    yield "pull_request", gone
    yield "pull_request", pull_request("labeled", ["RUN-CI-SHORT"], "RUN-CI-SHORT")
    yield "pull_request", pull_request("closed", LABELS)


def others():
    repository = pull_request("opened")["repository"]
    for ref in ("refs/heads/main", "refs/heads/topic", "refs/tags/main"):
        yield "push", {"ref": ref, "before": "0", "repository": repository}
    yield "merge_group", {"action": "checks_requested", "merge_group": {}, "repository": repository}
    for cron in ("30 2 * * *", "0 4 * * 1", "1 1 1 1 1"):
        yield "schedule", {"schedule": cron, "repository": repository}
    for choice, ref in itertools.product(("all", "short", "Quoted", "changed", "bug"), ("", "refs/pull/7/head")):
        yield (
            "workflow_dispatch",
            {"inputs": {"suite": choice, "ref": ref}, "ref": "refs/heads/main", "repository": repository},
        )
    yield "workflow_dispatch", {"inputs": None, "ref": "refs/heads/main", "repository": repository}


EVENTS = [*pull_requests(), *others()]


def contexts(name, payload):
    """What GitHub's expressions see of an event."""
    github = {
        "event_name": name,
        "event": payload,
        "repository": payload["repository"]["full_name"],
        "ref": payload.get("ref", "refs/pull/7/merge"),
        "workflow": "PR test",
        "run_id": "1001",
    }
    return {"github": github, "inputs": payload.get("inputs") or {}, "needs": {}, "secrets": {"HF_TOKEN": "s3cret"}}


@pytest.fixture(scope="module")
def repository(new_repository):
    repository = new_repository()
    repository.trainci("init")
    repository.write("trainci.toml", CONFIG)
    return repository


@pytest.fixture(scope="module")
def workflow(repository):
    return parsed(generated(repository))


def conditions(workflow):
    """The ``if:`` that starts each suite, by the name of the suite: a changed suite's is that of its detect job."""
    found = {}
    for name, job in workflow["jobs"].items():
        suite = name.removeprefix("e2e-test-").removesuffix("-detect")
        if job["if"].startswith("needs."):
            assert job["if"] == f"needs.{name}-detect.outputs.has_tests == 'true'"
        else:
            found[suite] = job["if"]
    return found


def planned(repository, name, payload):
    repository.write("event.json", json.dumps(payload))
    said = repository.trainci("plan", "--event", "event.json", "--event-name", name)
    assert said.code == 0, said.err
    *lines, total = said.out.splitlines()
    runs = {line.split()[1]: line.startswith("run ") for line in lines}
    assert total == f"{sum(runs.values())} of {len(runs)} suites would run."
    return runs


@pytest.mark.slow
def test_every_generated_if_agrees_with_plan_event(repository, workflow, github):
    expressions = conditions(workflow)
    rows = [[expression, contexts(*event)] for event in EVENTS for expression in expressions.values()]
    values = iter(github({"rows": rows})["values"])
    evaluated = [{suite: next(values) for suite in expressions} for _ in EVENTS]
    assert len(EVENTS) >= 200
    started = dict.fromkeys(expressions, 0)
    for event, found in zip(EVENTS, evaluated, strict=True):
        assert found == planned(repository, *event), event
        for suite, runs in found.items():
            started[suite] += runs
    assert all(0 < count < len(EVENTS) for count in started.values()), started


def test_the_table_says_what_the_issue_says(repository):
    def runs(name, payload):
        return {suite for suite, starts in planned(repository, name, payload).items() if starts}

    own, fork = False, True
    assert runs("pull_request", pull_request("labeled", ["run-ci-short", "bug"], "bug")) == set()
    assert runs("pull_request", pull_request("labeled", ["run-ci-short", "it's a label"], "it's a label")) == {
        "Quoted"
    }
    assert runs("pull_request", pull_request("synchronize", [], "", own)) == {"contracts", "nightly"}
    assert runs("pull_request", pull_request("synchronize", [], "", fork)) == {"contracts"}
    assert runs("pull_request", pull_request("labeled", ["run-ci-short"], "run-ci-short", fork)) == {"short"}
    assert "short" not in runs("pull_request", pull_request("synchronize", ["run-ci-short"], "", fork))
    assert "short" in runs("pull_request", pull_request("synchronize", ["run-ci-short"], "", own))
    assert "hosted" in runs("pull_request", pull_request("synchronize", ["run-ci-hosted"], "", fork))
    for action in ("unlabeled", "closed", "edited"):
        assert runs("pull_request", pull_request(action, LABELS, "run-ci-short")) == set()
    assert runs("push", {"ref": "refs/heads/main"}) == {"contracts", "nightly"}
    assert runs("push", {"ref": "refs/heads/topic"}) == set()
    assert runs("merge_group", {"merge_group": {}}) == {"contracts", "nightly"}
    assert runs("schedule", {"schedule": "30 2 * * *"}) == {"Quoted", "hosted"}
    assert runs("workflow_dispatch", {"inputs": {"suite": "short"}}) == {"short"}
    assert len(runs("workflow_dispatch", {"inputs": {"suite": "all"}})) == 6


@pytest.mark.parametrize(
    ("runs_on", "hosted"),
    [
        (["ubuntu-latest"], True),
        (["ubuntu-24.04-arm"], True),
        (["ubuntu-slim"], True),
        (["ubuntu-gpu"], False),
        (["ubuntu-latest-8-cores"], False),
        (["ubuntu-latest", "gpu"], False),
        (["self-hosted"], False),
        (["my-ubuntu-latest"], False),
        (["${{ vars.RUNNER }}"], False),
        ([], False),
    ],
)
def test_only_what_is_certainly_githubs_own_machine_counts_as_hosted(runs_on, hosted):
    assert is_hosted(runs_on) is hosted


def test_every_decision_has_its_reason(repository):
    repository.write("event.json", json.dumps(pull_request("synchronize", ["run-ci-short"], "", fork=True)))
    said = repository.trainci("plan", "--event", "event.json")
    assert "skip  short      code of a fork runs on self-hosted only when run-ci-short is added, again" in said.out
    assert "run   contracts  runs on every pull request" in said.out


@pytest.fixture
def groups(workflow, github):
    """The concurrency groups of an event's run: of each job by its name, of the run itself by none."""

    def evaluate(event, run_id):
        seen = contexts("pull_request", event)
        seen["github"]["run_id"] = run_id
        seen["strategy"] = {"job-index": 0}
        holders = {"": workflow, **workflow["jobs"]}
        assert all(holder["concurrency"]["cancel-in-progress"] is True for holder in holders.values())
        rows = [[inner(holder["concurrency"]["group"]), seen] for holder in holders.values()]
        return dict(zip(holders, github({"rows": rows})["values"], strict=True))

    return evaluate


@pytest.mark.slow
def test_a_second_label_cancels_nothing_and_a_push_cancels_its_own_suite(groups):
    """Only a run that starts a suite shares the group of that suite's older run."""
    first = groups(pull_request("labeled", ["run-ci-short"], "run-ci-short"), "1")
    second = groups(pull_request("labeled", ["run-ci-short", "run-ci-hosted"], "run-ci-hosted"), "2")
    other = groups(pull_request("labeled", ["run-ci-short", "bug"], "bug"), "3")
    pushed = groups(pull_request("synchronize", ["run-ci-short"]), "4")
    neighbour = groups(pull_request("synchronize", ["run-ci-short"], number=8), "5")
    assert len(set(first.values())) == len(first)
    for later in (second, other, neighbour):
        assert not set(later.values()) & {first["e2e-test-short"], first[""]}
    assert not set(other.values()) & (set(first.values()) | set(pushed.values()))
    assert pushed["e2e-test-short"] == first["e2e-test-short"]


@pytest.mark.slow
def test_a_push_cancels_the_whole_run_of_the_push_before_it_and_no_other(groups):
    """A job's group has its place in the matrix, and the newer run may have fewer places."""
    opened = groups(pull_request("opened", ["run-ci-short"]), "1")
    pushed = groups(pull_request("synchronize", []), "2")
    labeled = groups(pull_request("labeled", ["run-ci-short"], "run-ci-short"), "3")
    neighbour = groups(pull_request("synchronize", [], number=8), "4")
    assert pushed[""] == opened[""]
    assert not {labeled[""], neighbour[""]} & set(pushed.values())
    assert pushed[""] not in list(pushed.values())[1:]


def inner(template):
    """A text with expressions in it as one expression, which gives the same text."""
    parts = template.replace("'", "''").split("${{")
    pieces = [f"'{parts[0]}'"]
    for part in parts[1:]:
        expression, _, rest = part.partition("}}")
        pieces += [f"({expression.replace(chr(39) * 2, chr(39))})", f"'{rest}'"]
    places = "".join(f"{{{at}}}" for at in range(len(pieces)))
    return f"format('{places}', {', '.join(pieces)})"


@pytest.mark.slow
def test_secrets_go_where_a_suite_lists_them_and_never_to_a_fork(workflow, github):
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            listed = name == "e2e-test-nightly" and step["name"] == "Run the test"
            assert ("secrets." in json.dumps(step)) == listed
    assert "secrets" not in json.dumps([job.get("env") for job in workflow["jobs"].values()])
    steps = workflow["jobs"]["e2e-test-nightly"]["steps"]
    value = next(step for step in steps if step["name"] == "Run the test")["env"]["HF_TOKEN"]
    expression = value.removeprefix("${{ ").removesuffix(" }}")
    given = github({"rows": [[expression, contexts(*event)] for event in EVENTS]})["values"]
    for (name, payload), secret in zip(EVENTS, given, strict=True):
        repo = (payload.get("pull_request") or {"head": {"repo": payload["repository"]}})["head"]["repo"] or {}
        fork = repo.get("full_name") != "lab/train" or bool((payload.get("inputs") or {}).get("ref"))
        assert secret == ("" if fork else "s3cret"), (name, payload)
