"""Whether a number moved, as a user sees it: a real repository, real runs, a history that remembers them."""

from __future__ import annotations

import html
import json
from contextlib import closing

import pytest
from junitparser import JUnitXml, TestSuite

from trainci.history import open_store
from trainci.history.store import AttemptKey
from trainci.model.run import Cause, Ending, Metric, Outcome, Phase, Verdict
from trainci.paths import StatePaths

TEST = "tests/train.sh"
NORM = "train/grad_norm"
# Around 2.5; another like them is within 2.1 to 2.9, about.
USUAL = (2.4, 2.6, 2.5, 2.3, 2.7, 2.55, 2.45, 2.5, 2.35, 2.65, 2.5, 2.6)
CONFIG = """\
[suites.short]
tests = ["tests/train.sh"]
metrics = { "train/grad_norm" = "history" }
"""
# Each attempt records the next of the values; what is not tracked makes no commit dirty.
TRAIN = f"""\
set -e
value=$(head -n 1 values); sed -i 1d values
[ -n "$value" ] || exit 0
printf '{{"name": "{NORM}", "value": %s, "step": 7, "at": 1.0}}\\n' "$value" >> "$TRAINCI_METRICS_FILE"
"""


class Trained:
    """A repository whose test records what it is told to, and its past."""

    def __init__(self, repository) -> None:
        self.repository = repository
        repository.write("trainci.toml", CONFIG)
        repository.write(TEST, TRAIN)
        repository.init()
        self.environment = {"TRAINCI_LOCK_DIR": str(repository.root.parent / "locks")}

    def remember(self, values=USUAL, on_base=True, image="", kind="", begin=0) -> None:
        """As many earlier runs passed."""
        with closing(open_store(StatePaths(self.repository.root))) as store:
            for number, value in enumerate(values, start=begin):
                key = AttemptKey(f"run-{number}", TEST, 1)
                store.begin_run(key.run_id, f"c{number}", "no GPU", 1000.0 + number, "host", on_base)
                store.begin_attempt(key, 0, "a.log", 1000.0 + number, image)
                store.set_devices(key, (), kind)
                store.end_attempt(key, Phase.BOTH, Ending(Cause.EXITED, 0), 1001.0 + number)
                store.keep_metrics(key, [Metric(NORM, value, 7, 1.0)])
                store.keep_verdict(key.run_id, TEST, Verdict(Outcome.PASSED, "in 1.0 s"), 1001.0 + number)

    def run(self, *values: object, environment=None, options=()):
        """A run whose attempts record these values, one after another."""
        self.repository.write("values", "".join(f"{value}\n" for value in values))
        said = self.repository.trainci(
            "run", "short", *options, environment={**self.environment, **(environment or {})}
        )
        assert self.left() == [], f"an attempt was not made: {said.out}"
        return said

    def left(self) -> list[str]:
        return (self.repository.root / "values").read_text().split()

    def trainci(self, *words: str):
        return self.repository.trainci(*words, environment=self.environment)


@pytest.fixture
def trained(repository) -> Trained:
    return Trained(repository)


def test_a_value_in_the_band_passes_at_once(trained):
    trained.remember()
    said = trained.run(2.52)
    assert said.code == 0, said.out
    assert "passed" in said.out and "band" not in said.out


def test_a_shift_is_repeated_twice_and_red_by_the_median_of_the_three(trained):
    trained.remember()
    said = trained.run(3.43, 3.41, 3.39, options=("--junit", "junit.xml"))
    assert said.code == 1, said.out
    failure = next(JUnitXml.fromfile(str(trained.repository.root / "junit.xml")).iterchildren(TestSuite))
    assert "left the band" in next(iter(failure)).result[0].message
    assert f"{TEST}: repeats it, attempt 2: {NORM} at step 7 = 3.43 is outside the band" in said.out
    assert f"{TEST}: repeats it, attempt 3: {NORM}" in said.out
    assert f"{NORM} at step 7 = 3.41 (3.43 at first) left the band" in said.out
    assert "of 12 runs on main (median of 3 runs)" in said.out
    assert "why:    code (rule metric-moved" in said.out and "flaky" not in said.out


def test_a_value_that_is_odd_once_is_green_after_three(trained):
    trained.remember()
    said = trained.run(3.4, 2.5, 2.6)
    assert said.code == 0, said.out
    assert "was outside the band" in said.out and "the median of 3 runs is 2.6" in said.out
    assert "1 passed" in said.out and "flaky" not in said.out


def test_fewer_than_8_trusted_runs_gate_nothing_and_it_says_so(trained):
    trained.remember(USUAL[:7])
    said = trained.run(99.0)
    assert said.code == 0, said.out
    assert f"{NORM} at step 7 = 99 gates nothing yet: 7 of 8 trusted runs" in said.out


def test_runs_that_are_not_of_the_base_branch_are_not_trusted(trained):
    trained.remember(on_base=False)
    said = trained.run(99.0)
    assert said.code == 0 and "0 of 8 trusted runs" in said.out, said.out


@pytest.mark.parametrize(
    ("value", "reason"), [("", "no value was recorded"), ("NaN", "is no finite number")], ids=["missing", "nan"]
)
def test_a_missing_and_a_nan_value_are_red(trained, value, reason):
    trained.remember(USUAL[:3])
    said = trained.run(value)
    assert said.code == 1 and reason in said.out, said.out


def test_a_new_image_begins_a_series_that_is_announced_once_and_red_nowhere(trained):
    trained.remember()
    trained.repository.write("trainci.toml", '[project]\nimage = "trainer:2"\n' + CONFIG)
    trained.repository.commit()
    in_job = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(trained.repository.root / "summary")}
    said = trained.run(99.0, environment=in_job)
    assert said.code == 0, said.out
    announced = "new series on no device, image trainer:2: 1 metric of 1 test"
    assert announced in said.out
    again = trained.run(99.0, environment=in_job)
    assert again.code == 0 and announced not in again.out, again.out
    assert announced in html.unescape((trained.repository.root / "summary").read_text())


def test_another_kind_of_device_begins_a_series_that_is_announced_once(trained):
    trained.remember(kind="NVIDIA H100")
    trained.repository.write("trainci.toml", CONFIG + "num_gpus = 1\n")
    trained.repository.commit()
    announced = "new series on virtual CPU device: 1 metric of 1 test"
    said = [trained.run(99.0, options=("--devices", "cpu:1")) for _ in range(2)]
    assert [(one.code, announced in one.out) for one in said] == [(0, True), (0, False)], said


def test_an_accepted_value_is_what_later_ones_are_held_to_and_who_said_so_is_kept(trained):
    trained.remember()
    red = trained.run(3.43, 3.41, 3.39)
    accept = next(line for line in red.out.splitlines() if "meant?" in line).split()[1:]
    said = trained.trainci(*accept[1:-1], "a larger batch")
    assert said.code == 0, said.err
    after = trained.run(3.4)
    assert after.code == 0 and "gates nothing yet" not in after.out and "band" not in after.out, after.out
    shown = json.loads(trained.trainci("baseline", TEST, "--json").out)["tests"][0]
    assert [(one["metric"], one["reason"]) for one in shown["decisions"]] == [(NORM, "a larger batch")]
    assert shown["decisions"][0]["run"] in red.out and shown["decisions"][0]["who"]
    (series,) = shown["series"]
    # What was trusted before is a value, but none that counts.
    assert [point["trusted"] for point in series["points"]] == [True] * 4 + [False] * len(USUAL)
    far = trained.run(5.0, 5.1, 5.2)
    assert far.code == 1 and "left the band" in far.out, far.out


def test_a_reset_starts_again_and_lasts(trained):
    trained.remember()
    reset = ("baseline", "reset", TEST, NORM, "--reason", "new driver")
    assert trained.repository.trainci(*reset, environment={"GITHUB_ACTOR": "ana"}).code == 0
    after = trained.run(99.0)
    assert after.code == 0 and "0 of 8 trusted runs" in after.out, after.out
    assert f"{NORM}: ana reset it" in trained.trainci("baseline").out


def test_baseline_shows_band_runs_and_values(trained):
    trained.remember()
    said = trained.trainci("baseline")
    assert said.code == 0, said.err
    header, row = said.out.splitlines()[1:3]
    assert header.split()[:4] == ["METRIC", "STEP", "ON", "TRUSTED"]
    assert NORM in row and " 12 " in row and "2.6 2.5 2.65" in row


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((TEST, NORM, "--reason", " "), "--reason is empty"),
        ((TEST, "loss", "--reason", "x"), f"{TEST} has recorded no loss"),
        ((TEST, NORM, "--reason", "x", "--run", "never"), f"run never recorded no {NORM}"),
    ],
    ids=["no reason", "no metric", "no run"],
)
def test_what_cannot_be_accepted_says_why(trained, words, reason):
    trained.remember()
    said = trained.trainci("baseline", "accept", *words)
    assert said.code == 2 and reason in said.err


def test_an_annotation_says_which_number_left_which_band(trained):
    trained.remember()
    in_job = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(trained.repository.root / "summary")}
    said = trained.run(3.43, 3.41, 3.39, environment=in_job)
    (annotation,) = (line for line in said.out.splitlines() if line.startswith("::error"))
    assert f"{NORM} at step 7 = 3.41" in annotation and "of 12 runs on main (median of 3 runs)" in annotation
    summary = html.unescape((trained.repository.root / "summary").read_text())
    assert "left the band" in summary and f"trainci baseline accept {TEST} {NORM}" in summary
    assert "1 of them repeated for a metric" in summary


def test_a_history_that_does_not_answer_gates_nothing_and_it_is_said(trained):
    trained.remember()
    text = '[project]\nhistory = "postgresql://127.0.0.1:1/none"\n' + CONFIG
    trained.repository.write("trainci.toml", text)
    trained.repository.commit()
    said = trained.run(99.0)
    assert said.code == 0, said.out
    assert "In this run, no metric is gated by its history." in said.out


# 12 runs that train for real, and one whose rate is ten times the usual.
LEARNS = """
import random, sys
from trainci.testing import record_metric
NUM_GPUS = 0
METRICS = {"distance": "history"}
RATE = 0.1

if __name__ == "__main__":
    chance, weight = random.Random(), 0.0
    for step in range(50):
        weight -= RATE * (weight - 3 + chance.gauss(0, 1))
        record_metric("distance", weight, step)
"""


@pytest.mark.slow
def test_what_real_runs_recorded_is_the_band_of_later_ones(repository):
    repository.write("trainci.toml", '[suites.s]\ntests = ["tests/test_learns.py"]\n')
    repository.write("tests/test_learns.py", LEARNS)
    repository.init()
    words = ("run", "s")
    environment = {"TRAINCI_LOCK_DIR": str(repository.root.parent / "locks")}
    for count in range(12):
        said = repository.trainci(*words, environment=environment)
        # One in 200 of honest runs is red; a run that is not trusted leaves one fewer.
        assert said.code == 0 or "left the band" in said.out, said.out
        assert count >= 8 or "gates nothing yet" in said.out
    repository.git("checkout", "--quiet", "-b", "broken")
    repository.write("tests/test_learns.py", LEARNS.replace("RATE = 0.1", "RATE = 0.001"))
    repository.commit()
    said = repository.trainci(*words, environment=environment)
    assert said.code == 1 and "(median of 3 runs)" in said.out, said.out
