"""``trainci plan``: the changed tests as a matrix, and payloads of events, honest or not."""

from __future__ import annotations

import json

import pytest

MAIN = "if __name__ == '__main__':\n    print('ran')\n"


@pytest.fixture
def case(repository):
    repository.trainci("init")
    repository.write("trainci.toml", '[workflow]\nqueue_minutes = 10\n[suites.changed]\nselect = "changed"\n')
    repository.init()
    repository.git("checkout", "--quiet", "-b", "topic")
    return repository


def outputs(text):
    return dict(line.split("=", 1) for line in text.splitlines())


def test_changed_tests_become_matrix_and_has_tests(case):
    case.write("tests/test_new.py", "NUM_GPUS = 2\n" + MAIN)
    case.commit()
    said = case.trainci("plan", "--changed", "--format", "github")
    assert said.code == 0
    entry = '{"test_id": "tests/test_new.py", "num_gpus": 2, "timeout_minutes": 70}'
    assert said.out == f'matrix={{"include": [{entry}]}}\nhas_tests=true\n'
    assert "changed tests/test_new.py: added" in said.err


def test_in_a_job_the_outputs_go_to_githubs_file(case, tmp_path):
    case.write("tests/test_new.py", "NUM_GPUS = 2\n" + MAIN)
    case.commit()
    file = tmp_path / "output"
    file.write_text("earlier=1\n")
    said = case.trainci("plan", "--changed", "--format", "github", environment={"GITHUB_OUTPUT": str(file)})
    assert (said.code, said.out) == (0, "")
    assert outputs(file.read_text())["earlier"] == "1"
    assert outputs(file.read_text())["has_tests"] == "true"


def test_no_changed_tests_is_green_and_says_so(case):
    said = case.trainci("plan", "--changed", "--format", "github")
    assert (said.code, said.out) == (0, 'matrix={"include": []}\nhas_tests=false\n')
    assert said.err == "No changed tests relative to origin/main: nothing to run.\n"


def test_a_pull_request_against_another_branch_is_compared_with_that_branch(case):
    case.write("tests/test_released.py", MAIN)
    case.commit("release")
    case.git("update-ref", "refs/remotes/origin/release/1.0", "HEAD")
    case.write("tests/test_new.py", "NUM_GPUS = 2\n" + MAIN)
    case.commit("change")
    said = case.trainci("plan", "--changed", environment={"GITHUB_BASE_REF": "release/1.0"})
    assert said.out.splitlines() == ["changed tests/test_new.py: added, not registered"]
    said = case.trainci(
        "run", "--changed", "--dry-run", "--devices", "cpu:2", environment={"GITHUB_BASE_REF": "release/1.0"}
    )
    assert "test_new" in said.out and "test_released" not in said.out
    said = case.trainci(
        "plan", "--changed", "--base", "origin/main", environment={"GITHUB_BASE_REF": "release/1.0"}
    )
    assert "tests/test_released.py" in said.out


def test_a_push_to_the_base_branch_is_compared_with_what_was_there_before(case):
    """Compared with itself, a branch has no changes, for ever, and green."""
    before = case.git("rev-parse", "HEAD")
    case.write("tests/test_new.py", "NUM_GPUS = 2\n" + MAIN)
    case.commit("change")
    case.git("update-ref", "refs/remotes/origin/main", "HEAD")
    event = case.write(".git/event.json", json.dumps({"ref": "refs/heads/main", "before": before}))
    job = {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(event)}
    assert "changed tests/test_new.py: added" in case.trainci("plan", "--changed", environment=job).out
    case.write(".git/event.json", json.dumps({"ref": "refs/heads/main", "before": "1" * 40}))
    said = case.trainci("plan", "--changed", environment=job)
    assert (said.code, "is not in this clone" in said.err) == (2, True)


def test_no_base_branch_is_red_and_writes_no_output(case, tmp_path):
    case.git("update-ref", "-d", "refs/remotes/origin/main")
    file = tmp_path / "output"
    said = case.trainci("plan", "--changed", "--format", "github", environment={"GITHUB_OUTPUT": str(file)})
    assert said.code == 2
    assert "git fetch" in said.err
    assert not file.exists()


def test_in_a_job_an_error_is_an_annotation(case):
    """A job that ends before its test starts says why on the page of the pull request."""
    case.git("update-ref", "-d", "refs/remotes/origin/main")
    said = case.trainci("plan", "--changed", environment={"GITHUB_ACTIONS": "true"})
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("::error::trainci: the base branch origin/main is not in this clone")
    case.write("trainci.toml", "[project]\nbase = 3\n")
    said = case.trainci("plan", "--changed", environment={"GITHUB_ACTIONS": "true"})
    assert said.err.startswith("::error file=trainci.toml,line=2::project → base: ")


def test_a_test_that_cannot_be_read_is_in_the_matrix_so_that_its_job_is_red(case):
    case.write("tests/test_bad.py", "NUM_GPUS = four\n" + MAIN)
    case.commit()
    said = case.trainci("plan", "--changed", "--format", "github")
    (entry,) = json.loads(outputs(said.out)["matrix"])["include"]
    assert entry["test_id"] == "tests/test_bad.py"
    assert "tests/test_bad.py:1: NUM_GPUS must be a whole number" in said.err


HOSTILE = [
    "$(touch hacked)", "`touch hacked`", "a'b\"c", "two\nlines", "::set-output name=x::y", "]]>", "a b", "-rf",
    "%0A::error::x", "##[set-output name=matrix]x", "${{ github.token }}", "}}", "é🙂", b"\xff\xfe",
]  # fmt: skip


def test_a_hostile_file_name_is_one_entry_on_one_line_and_runs_by_its_id(case):
    for name in HOSTILE:
        name = name if isinstance(name, bytes) else name.encode()
        case.write(b"tests/test_" + name + b".py", "NUM_GPUS = 0\n" + MAIN)
    case.commit()
    said = case.trainci("plan", "--changed", "--format", "github")
    assert said.code == 0
    assert len(said.out.splitlines()) == 2
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in said.err.splitlines())
    ids = [entry["test_id"] for entry in json.loads(outputs(said.out)["matrix"])["include"]]
    assert len(ids) == len(HOSTILE)
    for test_id in ids:
        assert test_id.isprintable()
        dry = case.trainci("run", "--id", test_id, "--dry-run", "--devices", "cpu:1")
        assert dry.code == 0, dry.err
        assert dry.out.startswith(f"{test_id}\n")
        assert "1 test selected" in dry.out
    assert not (case.root / "hacked").exists()


@pytest.mark.slow
def test_more_than_256_changed_tests_are_packed_and_far_more_are_refused(case):
    for number in range(600):
        case.write(f"tests/test_{number}.py", "NUM_GPUS = 1\n" + MAIN)
    case.commit()
    said = case.trainci("plan", "--changed", "--format", "github")
    entries = json.loads(outputs(said.out)["matrix"])["include"]
    assert len(entries) <= 256
    assert sum(len(entry["test_id"].split("\n")) for entry in entries) == 600
    for number in range(2600):
        case.write(f"tests/test_{'x' * 190}{number}.py", MAIN)
    case.commit()
    said = case.trainci("plan", "--changed", "--format", "github")
    assert said.code == 2
    assert "too many tests have changed" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ("", "not JSON"),
        ("[]", "not the payload of an event"),
        ("{}", "does not say which event it is of. Name it with --event-name."),
        ("[" * 100000, "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_what_is_no_payload_is_refused(case, payload, sentence):
    case.write("event.json", payload)
    said = case.trainci("plan", "--event", "event.json")
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_payload_that_is_not_there_or_is_asked_for_with_changed(case):
    assert (
        case.trainci("plan", "--event", "nowhere.json").err == "trainci: nowhere.json: No such file or directory.\n"
    )
    assert case.trainci("plan").err == "trainci: say either --event FILE or --changed.\n"
    assert case.trainci("plan", "--changed", "--event", "x").code == 2


@pytest.mark.parametrize(
    "payload",
    [
        {"pull_request": None},
        {"pull_request": []},
        {"pull_request": {"labels": [1, None, {"name": 7}], "head": 5}, "action": ["labeled"], "label": "x"},
        {"pull_request": {"labels": "run-ci-changed"}, "action": "synchronize"},
    ],
)
def test_a_payload_of_another_shape_starts_nothing_and_is_no_bug(case, payload):
    case.write("event.json", json.dumps(payload))
    said = case.trainci("plan", "--event", "event.json", "--event-name", "pull_request")
    assert said.code in (0, 2)
    assert "Traceback" not in said.err
    assert "run " not in said.out


def test_a_hostile_label_of_a_pull_request_starts_nothing(case):
    for label in HOSTILE:
        label = label if isinstance(label, str) else label.decode("latin-1")
        payload = {"action": "labeled", "label": {"name": label}, "pull_request": {"labels": [{"name": label}]}}
        case.write("event.json", json.dumps(payload))
        said = case.trainci("plan", "--event", "event.json")
        assert said.out == "skip  changed  another label was added\n0 of 1 suites would run.\n", ascii(label)
