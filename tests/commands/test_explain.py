"""`trainci explain`: any log, another CI's too."""

from __future__ import annotations

import json
from typing import Any

import pytest

ASSERTION = """\
step 1 loss 2.31
Traceback (most recent call last):
  File "/repo/tests/test_a.py", line 3, in <module>
    assert loss < 2, loss
AssertionError: 2.31
"""
KILLED = "step 1 loss 2.31\n/repo/run.sh: line 12:  4711 Killed                  python train.py\n"


def test_it_says_outcome_blame_rule_evidence_and_place(repository: Any) -> None:
    repository.write("a.log", ASSERTION)
    said = repository.trainci("explain", "a.log")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "a.log:5: failed",
        "    blame:    code (rule assertion)",
        "    because:  an assertion of the test failed",
        "    evidence: AssertionError: 2.31",
    ]


@pytest.mark.parametrize("where", [".trainci", "elsewhere"])
def test_of_a_run_of_our_own_it_knows_how_the_attempt_ended(repository: Any, tmp_path: Any, where: str) -> None:
    """The word of the run itself, and not another one, wherever its state is kept; what is given goes before."""
    repository.write("trainci.toml", "[project]\n")
    repository.write(
        "tests/test_a.py", "NUM_GPUS = 0\nif __name__ == '__main__':\n    raise SystemExit('no loss')\n"
    )
    state = repository.root / where if where == ".trainci" else tmp_path / where
    environment = {"TRAINCI_STATE_DIR": str(state)}
    assert "code (rule exit-code" in repository.trainci("run", "tests/test_a.py", environment=environment).out
    (log,) = state.glob("runs/*/*.log")
    said = repository.trainci("explain", str(log)).out
    assert said.startswith(f"{log}:1: failed\n    blame:    code (rule exit-code)\n")
    assert ": unsure\n" in repository.trainci("explain", str(log), "--facts", "{}").out
    assert "SIGKILL" in repository.trainci("explain", str(log), "--facts", '{"signal": "SIGKILL"}').out


def test_json_is_one_object_a_log(repository: Any) -> None:
    repository.write("a.log", ASSERTION)
    repository.write("b.log", KILLED)
    said = repository.trainci("explain", "--json", "a.log", "b.log")
    first, second = map(json.loads, said.out.splitlines())
    assert first == {
        "schema": "trainci/explain/1",
        "log": "a.log",
        "outcome": "failed",
        "blame": "code",
        "rule": "assertion",
        "sentence": "an assertion of the test failed",
        "evidence": "AssertionError: 2.31",
        "line": 5,
    }
    assert (second["outcome"], second["line"]) == ("unsure", 2)


@pytest.mark.parametrize(
    ("facts", "blame"),
    [
        ("{}", "unsure"),
        ('{"kernel_oom": false}', "machine"),
        ('{"kernel_oom": true}', "unsure"),
        ("known", "machine"),
    ],
)
def test_a_fact_that_is_not_given_is_unknown_and_not_false(repository: Any, facts: str, blame: str) -> None:
    repository.write("b.log", KILLED)
    repository.write("known", '{"kernel_oom": false, "timed_out": null}')
    assert json.loads(repository.trainci("explain", "--json", "--facts", facts, "b.log").out)["blame"] == blame


@pytest.mark.parametrize(
    "prefix",
    [
        "2026-11-24T04:54:59.1234567Z ",
        "test\tRun tests\t2026-11-24T04:54:59.1234567Z ",
        "\x1b_bk;t=1732390000123\x07",
        "2026-11-24T04:54:59.123456Z 00O ",
        "[rank3]: ",
        "[default3]:",
        "(Trainer pid=812, ip=10.0.0.2) ",
        "3: ",
        "tests/test_a.py | ",
        "\x1b[31m",
    ],
)
def test_another_ci_and_any_rank_may_stand_before_a_line(repository: Any, prefix: str) -> None:
    repository.write("a.log", "".join(f"{prefix}{line}\n" for line in ASSERTION.splitlines()))
    said = json.loads(repository.trainci("explain", "--json", "a.log").out)
    assert (said["blame"], said["rule"], said["evidence"], said["line"]) == (
        "code",
        "assertion",
        "AssertionError: 2.31",
        5,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gone.log"], "gone.log: the log cannot be read: No such file or directory."),
        (["."], ".: the log cannot be read: Is a directory."),
        (["/dev/zero"], "/dev/zero: the log cannot be read: it is a device."),
        (["a.log", "--facts", "{"], "--facts: "),
        (["a.log", "--facts", "[1]"], "--facts: facts are an object"),
        (["a.log", "--facts", "gone.json"], "--facts gone.json: neither JSON nor a file"),
        (["a.log", "--facts", '{"oom": true}'], "'oom' is no fact; known are kernel_oom, seccomp, device_lost"),
        (["a.log", "--facts", '{"kernel_oom": 1}'], "kernel_oom is true or false"),
        (["a.log", "--facts", '{"signal": "SIGNONE"}'], "'SIGNONE' is no signal; write 9 or SIGKILL"),
        (["a.log", "--facts", '{"xid": ["x"]}'], "xid is a number, or a list of numbers"),
        (["a.log", "--facts", "[" * 100_000], "nested too deeply"),
    ],
)
def test_bad_input_is_a_sentence(repository: Any, arguments: list[str], told: str) -> None:
    repository.write("a.log", ASSERTION)
    said = repository.trainci("explain", *arguments)
    assert said.code == 2
    assert told in said.err and "Traceback" not in said.err and said.err.count("\n") == 1


def test_the_rules_of_a_repository_go_first_and_it_may_switch_rules_off(repository: Any) -> None:
    repository.write(
        "a.log", "license server of simulator: no seat left\nOSError: [Errno 28] No space left on device\n"
    )
    assert json.loads(repository.trainci("explain", "--json", "a.log").out)["rule"] == "disk-full"
    rule = 'name = "no-seat"\npattern = "no seat left"\nmeaning = "no licence"\nblame = "machine"\n'
    repository.write("trainci.toml", f'[verdicts]\noff = ["disk-full"]\n[[verdicts.rules]]\n{rule}')
    said = json.loads(repository.trainci("explain", "--json", "a.log").out)
    assert (said["rule"], said["blame"], said["line"]) == ("no-seat", "machine", 1)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('off = ["no-such-rule"]', "no-such-rule is no rule of trainci's"),
        ('rules = [{ name = "a", pattern = "(", meaning = "m", blame = "code" }]', "is no regular expression"),
        ('rules = [{ name = "a", pattern = "x", meaning = "m", blame = "me" }]', "blame"),
        ("retries = -1", "retries"),
    ],
)
def test_what_is_wrong_in_verdicts_is_said_with_its_line(repository: Any, table: str, told: str) -> None:
    repository.write("a.log", "")
    repository.write("trainci.toml", f"[verdicts]\n{table}\n")
    said = repository.trainci("explain", "a.log")
    assert said.code == 2 and said.err.startswith("trainci.toml:2: ") and told in said.err
