"""The rule of ``triggers`` and the generated ``if:`` expressions, over a table of events."""

from __future__ import annotations

import itertools
import json
import subprocess

import pytest
from github.workflows.conftest import generated, parsed, pull_request

from trainci.model.project import is_hosted
from trainci.text import caseless

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

[suites.narrow]
tests = ["tests/test_first.py"]
always = true
paths = ["src/**", "setup.py"]
paths_ignore = ["src/**/*.md"]

[suites.releases]
label = "run-ci-narrow"
tests = ["tests/test_first.py"]
branches = ["main", "v0.*"]
drafts = false
paths_ignore = ["docs/**"]

[suites.ready]
tests = ["tests/test_first.py"]
always = true
branches = ["stable", "main"]
drafts = false

[suites.changed]
select = "changed"
"""
# What branches of the repository touch.
TOUCHED = {"source": ["src/deep/a.py"], "prose": ["docs/a.md", "src/deep/a.md"], "nothing": []}
LABELS = (
    "run-ci-short",
    "it's a label",
    "run-ci-contracts",
    "run-ci-nightly",
    "run-ci-hosted",
    "run-ci-changed",
    "run-ci-narrow",
    "bug",
)
OTHERS = ((), ("bug",), ("run-ci-short", "RUN-CI-Hosted", "documentation"), ("run-ci-shorter", "it", "s a label"))


def pull_requests():
    for action, label, others, fork in itertools.product(
        ("labeled", "unlabeled", "opened", "reopened", "synchronize"), LABELS, OTHERS, (False, True)
    ):
        yield "pull_request", pull_request(action, (*others, label), label, fork)
    for action, branch, draft, labels in itertools.product(
        ("labeled", "opened", "ready_for_review", "converted_to_draft"),
        ("main", "Stable", "v0.7", "v0.7/x", "v1.0"),
        (False, True),
        ((), ("run-ci-narrow",), ("run-ci-ready", "run-ci-narrow")),
    ):
        event = pull_request(action, labels, "run-ci-narrow")
        event["pull_request"] |= {"base": {"ref": branch}, "draft": draft}
        yield "pull_request", event
    gone = pull_request("synchronize", ["run-ci-short", "run-ci-hosted"])
    gone["pull_request"]["head"]["repo"] = None
    yield "pull_request", gone
    yield "pull_request", pull_request("labeled", ["RUN-CI-SHORT"], "RUN-CI-SHORT")
    yield "pull_request", pull_request("labeled", ["run-cı-short"], "run-cı-short")
    yield "pull_request", pull_request("closed", LABELS)


def others():
    repository = pull_request("opened")["repository"]
    for ref in ("refs/heads/main", "refs/heads/topic", "refs/tags/main", "refs/heads/v0.3", "refs/heads/stable"):
        yield "push", {"ref": ref, "before": "0", "repository": repository}
    for queue in ({}, {"base_ref": "refs/heads/main"}, {"base_ref": "refs/heads/v1"}):
        yield "merge_group", {"action": "checks_requested", "merge_group": queue, "repository": repository}
    for cron in ("30 2 * * *", "0 4 * * 1", "1 1 1 1 1"):
        yield "schedule", {"schedule": cron, "repository": repository}
    for choice, ref in itertools.product(("all", "short", "Quoted", "changed", "bug"), ("", "refs/pull/7/head")):
        yield (
            "workflow_dispatch",
            {"inputs": {"suite": choice, "ref": ref}, "ref": "refs/heads/main", "repository": repository},
        )
    yield "workflow_dispatch", {"inputs": None, "ref": "refs/heads/main", "repository": repository}


EVENTS = [*pull_requests(), *others()]


def contexts(name, payload, started=()):
    """What GitHub's expressions see of an event of which the job `plan` said that it starts these suites."""
    github = {
        "event_name": name,
        "event": payload,
        "repository": payload["repository"]["full_name"],
        "ref": payload.get("ref", "refs/pull/7/merge"),
        "workflow": "PR test",
        "run_id": "1001",
    }
    needs = {"plan": {"result": "success", "outputs": {"suites": json.dumps(list(started))}}}
    return {
        "github": github,
        "inputs": payload.get("inputs") or {},
        "needs": needs,
        "secrets": {"HF_TOKEN": "s3cret"},
    }


@pytest.fixture(scope="module")
def repository(new_repository):
    repository = new_repository()
    repository.trainci("init")
    repository.write("trainci.toml", CONFIG)
    repository.init()
    for branch, files in TOUCHED.items():
        repository.git("checkout", "--quiet", "-b", branch, "main")
        for file in files:
            repository.write(file, "changed\n")
        repository.commit()
    repository.git("checkout", "--quiet", "source")
    return repository


@pytest.fixture(scope="module")
def workflow(repository):
    return parsed(generated(repository))


def conditions(workflow):
    """The ``if:`` that starts each suite, by the name of the suite: a changed suite's is that of its detect job."""
    found = {}
    for name, job in workflow["jobs"].items():
        suite = name.removeprefix("e2e-test-").removesuffix("-detect")
        if name.endswith("-detect") or f"{name}-detect" not in workflow["jobs"]:
            found[suite] = job["if"]
    return {s: found[s] for s in found if s not in ("commit", "plan", "summary") and not s.endswith("-result")}


def planned(repository, name, payload):
    repository.write("event.json", json.dumps(payload))
    said = repository.trainci("plan", "--event", "event.json", "--event-name", name, "--base", "origin/main")
    assert said.code == 0, said.err
    *lines, total = said.out.splitlines()
    runs = {line.split()[1]: line.startswith("run ") for line in lines}
    assert total == f"{sum(runs.values())} of {len(runs)} suites would run."
    return runs


@pytest.mark.slow
def test_every_generated_if_agrees_with_plan_event(repository, workflow, github):
    expressions = conditions(workflow)
    expressions |= {f"{suite}-result": workflow["jobs"][f"e2e-test-{suite}-result"]["if"] for suite in expressions}
    plans = [planned(repository, *event) for event in EVENTS]
    seen = [
        contexts(*event, [s for s, runs in plan.items() if runs]) for event, plan in zip(EVENTS, plans, strict=True)
    ]
    rows = [[expression, context] for context in seen for expression in expressions.values()]
    values = iter(github({"rows": rows})["values"])
    evaluated = [{suite: next(values) for suite in expressions} for _ in EVENTS]
    assert len(EVENTS) >= 200
    started = dict.fromkeys(expressions, 0)
    for event, plan, found in zip(EVENTS, plans, evaluated, strict=True):
        assert found == plan | {f"{suite}-result": runs for suite, runs in plan.items()}, event
        for suite, runs in found.items():
            started[suite] += runs
    assert all(0 < count < len(EVENTS) for count in started.values()), started


@pytest.mark.slow
def test_a_suite_whose_plan_failed_is_red_and_one_that_needs_none_is_as_ever(workflow, github):
    """Its tests are skipped, as a job before them failed; so what sums them up has to run under its own name."""
    event = pull_request("synchronize", ["run-ci-narrow"])
    seen = contexts("pull_request", event)
    seen["needs"] = {"plan": {"result": "failure", "outputs": {}}, "commit": {"result": "skipped", "outputs": {}}}
    for suite in ("narrow", "releases"):
        job = workflow["jobs"][f"e2e-test-{suite}-result"]
        assert "plan" in job["needs"] and "plan" in workflow["jobs"][f"e2e-test-{suite}"]["needs"]
        rows = [[job["if"], seen], [inner(job["name"]), seen], [workflow["jobs"][f"e2e-test-{suite}"]["if"], seen]]
        assert github({"rows": rows})["values"] == [True, f"e2e-test-{suite}", False]
    assert workflow["jobs"]["e2e-test-contracts"]["needs"] == "commit"


@pytest.mark.parametrize(
    ("branch", "narrow", "releases"),
    [
        ("source", "run   narrow     runs on every pull request; it touches src/deep/a.py", "run "),
        ("prose", "skip  narrow     none of 2 changed files is one of its paths", "run "),
        ("nothing", "skip  narrow     none of 0 changed files is one of its paths", "skip"),
    ],
)
def test_paths_hold_a_push_back_and_the_label_that_is_added_does_not_ask_them(
    repository, request, branch, narrow, releases
):
    request.addfinalizer(lambda: repository.git("checkout", "--quiet", "source"))
    repository.git("checkout", "--quiet", branch)
    repository.write("event.json", json.dumps(pull_request("synchronize", ["run-ci-narrow"])))
    said = repository.trainci("plan", "--event", "event.json")
    assert narrow in said.out
    assert f"{releases}  releases" in said.out
    repository.write("event.json", json.dumps(pull_request("labeled", ["run-ci-narrow"], "run-ci-narrow")))
    said = repository.trainci("plan", "--event", "event.json", "--format", "github")
    assert said.out == 'suites=["narrow", "releases"]\n'
    assert "run   releases   label run-ci-narrow was added" in said.err


def test_what_is_compared_in_a_repository_without_its_base_is_said(repository):
    event = pull_request("synchronize", [])
    event["pull_request"]["base"]["ref"] = "v0.9"
    repository.write("event.json", json.dumps(event))
    said = repository.trainci("plan", "--event", "event.json")
    assert said.code == 2
    assert "v0.9" in said.err


def test_the_table_says_what_the_issue_says(repository):
    def runs(name, payload):
        return {suite for suite, starts in planned(repository, name, payload).items() if starts}

    own, fork = False, True
    assert runs("pull_request", pull_request("labeled", ["run-ci-short", "bug"], "bug")) == set()
    assert runs("pull_request", pull_request("labeled", ["run-ci-short", "it's a label"], "it's a label")) == {
        "Quoted"
    }
    everyone = {"contracts", "narrow", "ready"}
    assert runs("pull_request", pull_request("synchronize", [], "", own)) == {*everyone, "nightly"}
    assert runs("pull_request", pull_request("synchronize", [], "", fork)) == everyone
    draft = pull_request("synchronize", ["run-ci-narrow"])
    draft["pull_request"]["draft"] = True
    assert runs("pull_request", draft) == {"contracts", "narrow", "nightly"}
    ready = pull_request("ready_for_review", ["run-ci-narrow", "run-ci-short"])
    assert runs("pull_request", ready) == {"ready", "releases"}
    both = pull_request("labeled", ["run-ci-narrow"], "run-ci-narrow")
    assert runs("pull_request", both) == {"narrow", "releases"}
    both["pull_request"]["base"]["ref"] = "v1"
    assert runs("pull_request", both) == {"narrow"}
    assert runs("pull_request", pull_request("labeled", ["run-ci-short"], "run-ci-short", fork)) == {"short"}
    assert "short" not in runs("pull_request", pull_request("synchronize", ["run-ci-short"], "", fork))
    assert "short" in runs("pull_request", pull_request("synchronize", ["run-ci-short"], "", own))
    assert "hosted" in runs("pull_request", pull_request("synchronize", ["run-ci-hosted"], "", fork))
    for action in ("unlabeled", "closed", "edited"):
        assert runs("pull_request", pull_request(action, LABELS, "run-ci-short")) == set()
    assert runs("push", {"ref": "refs/heads/main"}) == {*everyone, "nightly"}
    assert runs("push", {"ref": "refs/heads/stable"}) == {"ready"}
    assert runs("push", {"ref": "refs/heads/topic"}) == set()
    assert runs("merge_group", {"merge_group": {}}) == {"contracts", "nightly", "narrow"}
    assert runs("merge_group", {"merge_group": {"base_ref": "refs/heads/main"}}) == {*everyone, "nightly"}
    assert runs("schedule", {"schedule": "30 2 * * *"}) == {"Quoted", "hosted"}
    assert runs("workflow_dispatch", {"inputs": {"suite": "short"}}) == {"short"}
    assert len(runs("workflow_dispatch", {"inputs": {"suite": "all"}})) == 9


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


@pytest.mark.parametrize(
    ("label", "same"),
    [("RUN-CI-ÉS", True), ("run-ci-éſ", False), ("run-cı-és", False), ("run-ci-éß", False), ("run-ci-éss", False)],
)
def test_labels_are_compared_as_github_compares_them(label, same):
    """One character at a time, and none becomes ASCII: https://learn.microsoft.com/dotnet/api/system.stringcomparer
    .ordinalignorecase, and pal_casing.c of the .NET runtime for ı and ſ."""
    assert (caseless(label) == caseless("run-ci-és")) is same


SHORT, CHANGED = "e2e-test-short", "e2e-test-changed"
DETECT = f"{CHANGED}-detect"


def needs(**results):
    """The context ``needs`` of a job; a name's underscores are dashes, and ``found`` is what detection found."""
    found = results.pop("found", "")
    given = {
        f"e2e-test-{name.replace('_', '-')}": {"result": result, "outputs": {}} for name, result in results.items()
    }
    if "changed_detect" in results:
        given[DETECT]["outputs"] = {"has_tests": found}
    return {"commit": {"result": "skipped", "outputs": {}}, **given}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "given", "passed"),
    [
        ("short", needs(short="success"), True),
        ("short", needs(short="failure"), False),
        ("short", needs(short="cancelled"), False),
        ("short", needs(short="skipped"), False),
        ("changed", needs(changed="success", changed_detect="success", found="true"), True),
        ("changed", needs(changed="failure", changed_detect="success", found="true"), False),
        ("changed", needs(changed="skipped", changed_detect="success", found="true"), False),
        ("changed", needs(changed="skipped", changed_detect="success", found="false"), True),
        ("changed", needs(changed="skipped", changed_detect="failure"), False),
        ("changed", needs(changed="skipped", changed_detect="failure", found="false"), False),
        ("changed", needs(changed="skipped", changed_detect="cancelled"), False),
        ("changed", needs(changed="skipped", changed_detect="skipped"), False),
        ("changed", needs(changed="skipped", changed_detect="success"), False),
    ],
)
def test_the_result_of_a_suite_is_red_unless_all_is_well(workflow, github, suite, given, passed):
    label = f"run-ci-{suite}"
    job = workflow["jobs"][f"e2e-test-{suite}-result"]
    seen = contexts("pull_request", pull_request("labeled", [label], label))
    seen |= {"needs": given, "cancelled": not passed}
    (step,) = job["steps"]
    rows = [[job["if"], seen], *([inner(value), seen] for value in step["env"].values())]
    runs, *values = github({"rows": rows})["values"]
    assert runs is True
    variables = dict(zip(step["env"], values, strict=True))
    done = subprocess.run(["bash", "-e", "-c", step["run"]], env=variables, capture_output=True, text=True)
    assert (done.returncode == 0) is passed
    assert set(job["needs"]) == {"commit", *given}
    assert all(need["result"] in done.stdout for name, need in given.items() if name != "commit")


@pytest.mark.slow
def test_the_result_of_a_suite_has_its_constant_name_only_where_the_suite_was_started(workflow, github):
    """A check that was skipped counts as passed for GitHub, so it must not have the name that is required."""
    jobs = {suite: workflow["jobs"][f"e2e-test-{suite}-result"] for suite in conditions(workflow)}
    rows = [[inner(job["name"]), contexts(*event)] for event in EVENTS for job in jobs.values()]
    rows += [[job["if"], contexts(*event)] for event in EVENTS for job in jobs.values()]
    values = github({"rows": rows})["values"]
    names, started = values[: len(rows) // 2], values[len(rows) // 2 :]
    for suite, name, runs in zip([*jobs] * len(EVENTS), names, started, strict=True):
        assert name == (f"e2e-test-{suite}" if runs else f"e2e-test-{suite} (not started)")


@pytest.mark.slow
@pytest.mark.parametrize(("commit", "runs"), [("skipped", True), ("success", True), ("failure", False)])
def test_no_job_runs_when_the_ref_that_was_named_has_no_commit(workflow, github, commit, runs):
    payload = {"inputs": {"suite": "all", "ref": "nowhere"}, "ref": "refs/heads/main"}
    payload["repository"] = pull_request("opened")["repository"]
    seen = contexts("workflow_dispatch", payload) | {"needs": {"commit": {"result": commit, "outputs": {}}}}
    expressions = [*conditions(workflow).values()]
    assert github({"rows": [[each, seen] for each in expressions]})["values"] == [runs] * len(expressions)
    seen["needs"][DETECT] = {"result": "success", "outputs": {"has_tests": "true"}}
    assert github({"rows": [[workflow["jobs"][CHANGED]["if"], seen]]})["values"] == [runs]


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
        holders = {"": workflow, **{name: job for name, job in workflow["jobs"].items() if "concurrency" in job}}
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
