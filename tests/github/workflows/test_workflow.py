"""What the generated workflow holds, and what GitHub's parser, its schema and zizmor say of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from github.workflows.conftest import (
    ROOT,
    WORKFLOW,
    assert_schema_and_zizmor_find_nothing,
    generated,
    parsed,
    pull_request,
)

from trainci.paths import RunPaths

TRAIN, NEXT = (f"ghcr.io/lab/train@sha256:{digit * 64}" for digit in "12")
FULL = f"""\
[project]
image = "{TRAIN}"
install = "pip install -e . --no-deps"
timeout_minutes = 60

[workflow]
runs_on = ["self-hosted", "gpu"]
trainci = "trainci==0.1.0"
mounts = ["/data/models:/root/models", "/data/datasets:/root/datasets:ro"]
queue_minutes = 30

[suites.short]
description = "light smoke tests"
tests = ["tests/test_first.py", {{ path = "tests/test_first.py", args = ["--async"], timeout_minutes = 90.5 }}]
secrets = ["HF_TOKEN", "WANDB_API_KEY"]

[suites.contracts]
tests = ["tests/test_first.py"]
always = true

[suites.image]
tests = "all"
image = "{NEXT}"
schedule = "30 2 * * *"

[suites.changed]
select = "changed"
"""


@pytest.fixture
def full(repository):
    repository.trainci("init")
    repository.write("trainci.toml", FULL)
    return repository


def own_workflow():
    return (ROOT / WORKFLOW).read_text()


def workflows(name, full):
    return own_workflow() if name == "own" else generated(full)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "own"])
def test_githubs_own_parser_finds_nothing(name, full, github):
    assert github({"workflow": workflows(name, full)}) == {"errors": []}


@pytest.mark.slow
def test_githubs_own_parser_would_find_something(full, github):
    broken = generated(full).replace("timeout-minutes:", "timeout:").replace("strategy.job-index", "steps.x")
    errors = github({"workflow": broken})["errors"]
    assert any("Unexpected value 'timeout'" in error for error in errors)
    assert any("Unrecognized named-value: 'steps'" in error for error in errors)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "own"])
def test_the_schema_and_zizmor_find_nothing(name, full, tmp_path):
    assert_schema_and_zizmor_find_nothing(workflows(name, full), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "instead", "finding"),
    [
        ('--id "$TEST_ID"', '--id "${{ matrix.test_id }}"', "template-injection"),
        # The one finding that a user's own choice brings: an image by tag. docs/security.md says what it means.
        (TRAIN, "ghcr.io/lab/train:latest", "unpinned-images"),
    ],
)
def test_zizmor_finds_exactly(written, instead, finding, full, tmp_path):
    file = tmp_path / "pr-test.yml"
    file.write_text(generated(full).replace(written, instead))
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [zizmor, "--offline", "--persona=pedantic", "--no-config", "--format=json", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert {found["ident"] for found in json.loads(done.stdout)} == {finding}


def test_one_job_per_suite_with_its_machine_and_its_image(full):
    jobs = parsed(generated(full))["jobs"]
    assert [name for name in jobs if not name.endswith("-result")] == [
        "commit", "e2e-test-short", "e2e-test-contracts", "e2e-test-image", "e2e-test-changed-detect",
        "e2e-test-changed", "summary",
    ]  # fmt: skip
    assert {f"e2e-test-{suite}-result" for suite in ("short", "contracts", "image", "changed")} < set(jobs)
    assert jobs["e2e-test-short"]["container"]["image"] == TRAIN
    assert jobs["e2e-test-image"]["container"]["image"] == NEXT
    assert jobs["e2e-test-contracts"]["runs-on"] == ["ubuntu-latest"]
    assert "container" not in jobs["e2e-test-contracts"]
    assert jobs["e2e-test-short"]["runs-on"] == ["self-hosted", "gpu"]
    assert jobs["e2e-test-changed-detect"]["runs-on"] == "ubuntu-latest"


def test_a_container_has_the_leases_the_caches_and_the_proxies_by_name(full):
    container = parsed(generated(full))["jobs"]["e2e-test-short"]["container"]
    assert container["volumes"] == ["/dev/shm/trainci:/dev/shm/trainci", "/data/datasets:/root/datasets:ro"]
    assert """&& '-v "/data/models:/root/models"' || """ in container["options"]
    options = container["options"].split()
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        assert options[options.index(name) - 1] == "-e"
        assert options[options.index(name.upper()) - 1] == "-e"


def test_triggers(full):
    on = parsed(generated(full))["on"]
    assert on["pull_request"] == {"types": ["labeled", "opened", "reopened", "synchronize"]}
    assert on["push"] == {"branches": ["main"]}
    assert on["schedule"] == [{"cron": "30 2 * * *"}]
    assert "merge_group" in on
    suite = on["workflow_dispatch"]["inputs"]["suite"]
    assert (suite["default"], suite["options"]) == ("all", ["all", "short", "contracts", "image", "changed"])
    assert on["workflow_dispatch"]["inputs"]["ref"]["default"] == ""


def test_matrix_entries_and_time_limits(full):
    jobs = parsed(generated(full))["jobs"]
    assert jobs["e2e-test-short"]["strategy"]["matrix"]["include"] == [
        {"test_id": "tests/test_first.py", "num_gpus": 0, "timeout_minutes": 90},
        {"test_id": "tests/test_first.py[--async]", "num_gpus": 0, "timeout_minutes": 121},
    ]
    for name, job in jobs.items():
        assert job["timeout-minutes"] == (
            "${{ matrix.timeout_minutes }}"
            if "strategy" in job
            else 15
            if name.endswith(("-detect", "commit", "summary"))
            else 5
        )


def test_one_more_registered_test_is_one_line_per_matrix_entry(full):
    full.write("tests/test_more.py", "NUM_GPUS = 2\nif __name__ == '__main__':\n    print('ran')\n")
    before = generated(full).splitlines()
    full.write(
        "trainci.toml", FULL.replace('["tests/test_first.py", {', '["tests/test_first.py", "tests/test_more.py", {')
    )
    after = generated(full).splitlines()
    added = [line for line in after if "test_more" in line]
    line = '          - {"test_id": "tests/test_more.py", "num_gpus": 2, "timeout_minutes": 90}'
    assert added == [line, line]
    assert [line for line in after if line not in added] == before


def test_a_ref_that_is_named_by_hand_is_looked_up_once_and_used_by_every_job(full):
    """A branch may move while jobs wait: no job looks it up by itself."""
    jobs = parsed(generated(full))["jobs"]
    for name, job in jobs.items():
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                once = "needs.commit.result == 'success' && needs.commit.outputs.sha || ''"
                named = "inputs.ref" if name == "commit" else once
                assert step["with"]["ref"] == f"${{{{ {named} }}}}"
        needs = job.get("needs", [])
        assert name == "commit" or "commit" in ([needs] if isinstance(needs, str) else needs)
    assert jobs["commit"]["outputs"] == {"sha": "${{ steps.commit.outputs.sha }}"}
    assert json.dumps(jobs).count("inputs.ref }}") == 2, "its own checkout, and what it says"


def test_the_last_job_sums_up_what_all_jobs_say_and_may_write_nothing(full):
    workflow = parsed(generated(full))
    job = workflow["jobs"]["summary"]
    results = [name for name in workflow["jobs"] if name.endswith("-result")]
    assert job["needs"] == ["commit", *results] and "permissions" not in job
    assert workflow["permissions"] == {"contents": "read"}
    assert all(f"needs.{name}.result != 'skipped'" in job["if"] for name in results)
    assert job["steps"][-1]["run"] == "mkdir -p kept && trainci summary kept"


def comment_workflow(case):
    case.write("trainci.toml", FULL.replace("[suites.contracts]", "comment = true\n[suites.contracts]"))
    case.write(".github/workflows/pr-comment.yml.j2", '<% extends "trainci/pr-comment.yml.j2" %>\n')
    assert case.trainci("generate").code == 0
    return (case.root / ".github/workflows/pr-comment.yml").read_text()


def test_every_generated_file_ends_with_one_line_end(full):
    for text in (generated(full), comment_workflow(full)):
        assert text.endswith("\n") and not text.endswith("\n\n")


def test_the_comment_is_written_by_a_job_that_runs_nothing_of_the_pull_request(full):
    workflow = yaml.safe_load(comment_workflow(full))
    assert set(workflow[True]) == {"workflow_run"}, "its code is that of the default branch"
    assert workflow[True]["workflow_run"]["workflows"] == [parsed(generated(full))["name"]]
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == {"contents": "read", "actions": "read", "pull-requests": "write"}
    for step in job["steps"]:
        if "checkout" in step.get("uses", ""):
            assert set(step["with"]) == {"persist-credentials"}, "no ref: the default branch"
        assert "workflow_run" not in step.get("run", ""), "no text of the event reaches a shell"
    assert job["steps"][-1]["run"].endswith("trainci summary kept --comment --suite e2e-test-short")


@pytest.mark.slow
def test_githubs_schema_takes_the_comments_workflow_and_zizmor_finds_nothing(full, tmp_path):
    assert_schema_and_zizmor_find_nothing(comment_workflow(full), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "payload", "mode"),
    [
        ("pull_request", pull_request("synchronize"), ""),
        ("pull_request", pull_request("labeled", ["run-ci-short"], "run-ci-short", fork=True), ":ro"),
        ("workflow_dispatch", {"inputs": {"ref": "refs/pull/7/head"}}, ":ro"),
        ("workflow_dispatch", {"inputs": {"ref": ""}}, ""),
        ("push", {}, ""),
    ],
)
def test_a_forks_code_gets_the_caches_read_only(full, github, name, payload, mode):
    """What it writes into them, later jobs would take for their models."""
    mounts = '"/data/it\'s a:/root/models:rw", "/data/b:/b"'
    full.write("trainci.toml", FULL.replace('"/data/models:/root/models"', mounts))
    container = parsed(generated(full))["jobs"]["e2e-test-short"]["container"]
    expression, plain = re.fullmatch(r"\$\{\{ (.*) \}\} (.*)", container["options"]).groups()
    seen = {"github": {"event_name": name, "event": payload}, "inputs": payload.get("inputs")}
    (options,) = github({"rows": [[expression, seen]]})["values"]
    assert shlex.split(options) == ["-v", f"/data/it's a:/root/models{mode}", "-v", f"/data/b:/b{mode}"]
    assert plain.startswith("--gpus all -e http_proxy")
    assert container["volumes"] == ["/dev/shm/trainci:/dev/shm/trainci", "/data/datasets:/root/datasets:ro"]


@pytest.mark.slow
def test_a_schedule_is_taken_where_githubs_own_parser_takes_it(full, github):
    fields = (
        "*", "0", "5", "7", "12", "13", "23", "24", "31", "32", "59", "60", "*/5", "*/0", "1-5", "5-1", "1,9", "1,",
        "JAN", "sun", "SUN-SAT", "DEC-JAN", "1-5/2", "5/15", "/5", "-1", "x",
    )  # fmt: skip
    lines = [" ".join(["1"] * at + [text] + ["1"] * (4 - at)) for at in range(5) for text in fields]
    workflow = yaml.safe_dump(
        {
            "on": {"schedule": [{"cron": line} for line in lines]},
            "jobs": {"a": {"runs-on": "x", "steps": [{"run": "y"}]}},
        }
    )
    errors = github({"workflow": workflow})["errors"]
    refused = {int(re.search(r"Line: (\d+)", error)[1]) for error in errors if "cron" in error.lower()}
    places = {
        line: number
        for number, text in enumerate(workflow.splitlines(), 1)
        for line in lines
        if text.endswith((f"cron: {line}", f"cron: '{line}'"))
    }
    assert len(places) == len(set(lines)) and 30 < len(refused) < len(places)
    for line, place in places.items():
        full.write("trainci.toml", f'[suites.a]\nschedule = "{line}"\ntests = ["tests/test_first.py"]\n')
        said = full.trainci("list")
        assert (said.code == 2) == (place in refused), (line, said.err)


@pytest.mark.slow
def test_a_push_to_a_base_whose_name_is_a_pattern_to_github_is_seen(full, github):
    full.write("trainci.toml", FULL.replace("[project]", '[project]\nbase = "c++!"'))
    text = generated(full)
    assert parsed(text)["on"]["push"] == {"branches": [r"c\+\+\!"]}
    assert github({"workflow": text}) == {"errors": []}


def test_security_of_the_text(full):
    workflow = parsed(generated(full))
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if uses := step.get("uses"):
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", uses)
                if "checkout" in uses:
                    assert step["with"]["persist-credentials"] is False


def test_reports_are_kept_even_when_a_job_fails_or_is_cancelled(full):
    for job in parsed(generated(full))["jobs"].values():
        if "strategy" in job:
            *_, last = job["steps"]
            assert last["if"] == "always()"
            assert last["uses"].startswith("actions/upload-artifact@")
            assert last["with"]["include-hidden-files"] is True
            *kept, left_out = last["with"]["path"].split()
            assert kept == [".trainci/junit.xml", ".trainci/runs"]
            # What a test leaves itself is masked at its end, which a killed trainci never sees.
            log = Path(".trainci/runs/20260102-030405-abcdef/001-a.py-1.log")
            unmasked = [RunPaths.results(log), RunPaths.results(log, 1), RunPaths.steps(log), RunPaths.ends(log)]
            assert all(path.match(left_out.removeprefix("!")) for path in [*unmasked, RunPaths.ranks(log)])
            assert not RunPaths.kept_ranks(log).match(left_out.removeprefix("!")) and left_out.startswith("!")


@pytest.mark.slow
@pytest.mark.parametrize(("count", "largest"), [(256, 1), (257, 2), (700, 3)])
def test_more_than_256_entries_are_packed(full, count, largest):
    names = [f"tests/test_{number:03}.py" for number in range(count)]
    for name in names:
        full.write(name, "NUM_GPUS = 1\nif __name__ == '__main__':\n    print('ran')\n")
    listed = ", ".join(f'"{name}"' for name in names)
    full.write("trainci.toml", f"[workflow]\nqueue_minutes = 10\n[suites.many]\ntests = [{listed}]\n")
    entries = parsed(generated(full))["jobs"]["e2e-test-many"]["strategy"]["matrix"]["include"]
    assert len(entries) <= 256
    assert [test_id for entry in entries for test_id in entry["test_id"].split("\n")] == names
    assert max(len(entry["test_id"].split("\n")) for entry in entries) == largest
    assert entries[0]["timeout_minutes"] == largest * 60 + 10


def test_a_packed_entry_runs_each_of_its_tests(full):
    said = full.trainci(
        "run", "--dry-run", "--devices", "cpu:1", "--id", "tests/test_first.py\ntests/test_first.py[--async]"
    )
    assert "2 tests selected" in said.out


def test_this_repositorys_own_workflow_is_generated_from_the_starter():
    own, starter = (ROOT / f"{WORKFLOW}.j2", ROOT / "src/trainci/starter/pr-test.yml.j2")
    assert own.read_bytes() == starter.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "trainci", "generate", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = parsed(own_workflow())["jobs"]
    ran = " ".join(entry["test_id"] for entry in jobs["e2e-test-checks"]["strategy"]["matrix"]["include"])
    assert all(command in ran for command in ("make check", "make demo", "make examples", ".ci/run"))


def test_the_hooks_for_pre_commit_run_what_exists(full):
    full.trainci("generate")
    full.init()
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()):
        program, *arguments = hook["entry"].split()
        assert (program, hook["pass_filenames"], hook["language"]) == ("trainci", False, "python")
        said = full.trainci(*arguments)
        assert said.code in (0, 1), said.err
        assert all(re.search(hook["files"], file) for file in ("trainci.toml", "tests/test_first.py"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "payload", "place"),
    [
        ("pull_request", pull_request("synchronize"), "/tools/trainci/lab/train"),
        ("pull_request", pull_request("labeled", ["run-ci-short"], "run-ci-short", fork=True), ""),
        ("workflow_dispatch", {"inputs": {"ref": "refs/pull/7/head"}}, ""),
        ("workflow_dispatch", {"inputs": {"ref": ""}}, "/tools/trainci/lab/train"),
        ("push", {}, "/tools/trainci/lab/train"),
    ],
)
def test_the_state_of_own_code_outlives_the_checkout_and_a_forks_code_cannot_reach_it(
    full, github, name, payload, place
):
    steps = parsed(generated(full))["jobs"]["e2e-test-short"]["steps"]
    (told,) = [step["env"]["TRAINCI_STATE_DIR"] for step in steps if step["name"] == "Run the test"]
    seen = {
        "github": {"event_name": name, "event": payload, "repository": "lab/train"},
        "inputs": payload.get("inputs"),
        "runner": {"tool_cache": "/tools"},
    }
    assert github({"rows": [[told.removeprefix("${{ ").removesuffix(" }}"), seen]]})["values"] == [place]


def test_a_machine_of_githubs_and_a_project_that_names_its_own_place_are_told_none(full):
    jobs = parsed(generated(full))["jobs"]
    variables = {name: [step.get("env", {}) for step in job["steps"]] for name, job in jobs.items()}
    told = {name for name, steps in variables.items() if any("TRAINCI_STATE_DIR" in each for each in steps)}
    assert told == {"e2e-test-short", "e2e-test-image", "e2e-test-changed"}
    own = FULL.replace("timeout_minutes = 60", 'timeout_minutes = 60\nstate_dir = "/var/lib/x"', 1)
    full.write("trainci.toml", own)
    assert "TRAINCI_STATE_DIR" not in generated(full)
