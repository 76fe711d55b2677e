"""Pure: which suites an event of GitHub starts, and why. The one place of this rule.

``conditions`` says the same in GitHub's expression language; a test evaluates both over a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from trainci.model import Project, Suite, Trigger
from trainci.text import caseless

ALL_SUITES = "all"
PUSHED = ("opened", "reopened", "synchronize")
# Only these names are certain to be GitHub's own machines, each thrown away after one job.
_HOSTED = re.compile(r"ubuntu-(latest|slim|\d\d\.\d\d)(-arm)?")


@dataclass(frozen=True)
class Decision:
    """Whether an event starts a suite, and why, in words that are shown to the user."""

    suite: Suite
    runs: bool
    reason: str


def is_hosted(runs_on: Iterable[str]) -> bool:
    """Whether a job runs on a machine of GitHub's that no later job sees; what is not certain counts as yours."""
    labels = tuple(runs_on)
    return bool(labels) and all(_HOSTED.fullmatch(label) for label in labels)


def decide(project: Project, trigger: Trigger) -> tuple[Decision, ...]:
    """For each suite of ``project``, whether ``trigger`` starts it."""
    return tuple(Decision(suite, *_decide(suite, project.base, trigger)) for suite in project.suites)


def _decide(suite: Suite, base: str, trigger: Trigger) -> tuple[bool, str]:
    if trigger.name == "pull_request":
        return _pull_request(suite, trigger)
    if trigger.name == "workflow_dispatch":
        asked = _same(trigger.choice, ALL_SUITES) or _same(trigger.choice, suite.name)
        return asked, "asked for by hand" if asked else f"another suite was asked for: {trigger.choice}"
    if trigger.name == "schedule":
        due = bool(suite.schedule) and _same(trigger.cron, suite.schedule)
        return due, f"its schedule is due: {suite.schedule}" if due else "not on this schedule"
    if trigger.name == "push":
        if not _same(trigger.ref, f"refs/heads/{base}"):
            return False, f"a push to something else than {base}"
        return (
            suite.always,
            f"runs on every push to {base}" if suite.always else "runs for its label, not for a push",
        )
    if trigger.name == "merge_group":
        return suite.always, "runs in the merge queue" if suite.always else "runs for its label, not in the queue"
    return False, f"{trigger.name} starts nothing"


def _pull_request(suite: Suite, trigger: Trigger) -> tuple[bool, str]:
    if trigger.action == "labeled":
        added = _same(trigger.label, suite.label)
        return added, f"label {suite.label} was added" if added else "another label was added"
    if trigger.action not in PUSHED:
        return False, f"a pull request that was {trigger.action or 'touched'} starts nothing"
    labelled = any(_same(label, suite.label) for label in trigger.labels)
    if not (suite.always or labelled):
        return False, f"the pull request has no label {suite.label}"
    if trigger.fork and not is_hosted(suite.runs_on):
        # Who added the label looked at the code of that moment, not at this one.
        return False, f"code of a fork runs on {', '.join(suite.runs_on)} only when {suite.label} is added, again"
    return True, "runs on every pull request" if suite.always else f"the pull request has label {suite.label}"


def _same(one: str, other: str) -> bool:
    # GitHub compares without regard to case, in its expressions as in the names of labels.
    return caseless(one) == caseless(other)
