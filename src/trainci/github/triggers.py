"""Pure: which suites an event of GitHub starts, and why. The one place of this rule.

``conditions`` says the same in GitHub's expression language; a test evaluates both over a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainci.globs import is_glob, matches
from trainci.model.project import Project, Suite, Trigger, is_hosted
from trainci.text import caseless, listed, printable

ALL_SUITES = "all"
PUSHED = ("opened", "reopened", "synchronize")
READY = "ready_for_review"


@dataclass(frozen=True)
class Decision:
    """Whether an event starts a suite, and why, in words that are shown to the user."""

    suite: Suite
    runs: bool
    reason: str


def is_narrowed(suite: Suite) -> bool:
    """Whether a push starts ``suite`` only when it touches certain files."""
    return bool(suite.paths or suite.paths_ignore)


def has_branch_globs(suite: Suite) -> bool:
    """Whether the branches of ``suite`` are more than names, which is too much for GitHub's expressions."""
    return any(is_glob(branch) for branch in suite.branches)


def is_pushed(suite: Suite, action: str) -> bool:
    """Whether a pull request's ``action`` brings code that ``suite`` has not seen; to one without drafts, READY."""
    return action in PUSHED or (action == READY and not suite.drafts)


def decide(project: Project, trigger: Trigger) -> tuple[Decision, ...]:
    """For each suite of ``project``, whether ``trigger`` starts it.

    Where nobody looked for the changed files (``trigger.changed`` is None), no suite is held back by its paths.
    """
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
        branches = suite.branches or (base,)
        if not _is_for(branches, trigger.ref):
            return False, f"a push to something else than {listed(branches)}"
        if not suite.always:
            return False, "runs for its label, not for a push"
        return _if_touched(suite, trigger, f"runs on every push to {listed(branches)}")
    if trigger.name == "merge_group":
        if suite.branches and not _is_for(suite.branches, trigger.branch):
            return False, f"the queue is for something else than {listed(suite.branches)}"
        return suite.always, "runs in the merge queue" if suite.always else "runs for its label, not in the queue"
    return False, f"{trigger.name} starts nothing"


def _pull_request(suite: Suite, trigger: Trigger) -> tuple[bool, str]:
    if suite.branches and not _is_for(suite.branches, trigger.branch):
        branch = printable(trigger.branch.removeprefix("refs/heads/")) or "no branch"
        return False, f"the pull request is against {branch}, and the suite is for {listed(suite.branches)}"
    if trigger.draft and not suite.drafts:
        return False, "the pull request is a draft: it starts when it is ready for review"
    if trigger.action == "labeled":
        added = _same(trigger.label, suite.label)
        return added, f"label {suite.label} was added" if added else "another label was added"
    if not is_pushed(suite, trigger.action):
        return False, f"a pull request that was {trigger.action or 'touched'} starts nothing"
    labelled = any(_same(label, suite.label) for label in trigger.labels)
    if not (suite.always or labelled):
        return False, f"the pull request has no label {suite.label}"
    if trigger.fork and not is_hosted(suite.runs_on):
        # Who added the label looked at the code of that moment, not at this one.
        return False, f"code of a fork runs on {', '.join(suite.runs_on)} only when {suite.label} is added, again"
    reason = "runs on every pull request" if suite.always else f"the pull request has label {suite.label}"
    return _if_touched(suite, trigger, reason)


def _if_touched(suite: Suite, trigger: Trigger, reason: str) -> tuple[bool, str]:
    if not is_narrowed(suite) or trigger.changed is None:
        return True, reason
    touched = next((file for file in trigger.changed if _touches(suite, file)), None)
    if touched is None:
        return False, f"none of {len(trigger.changed)} changed files is one of its paths"
    return True, f"{reason}; it touches {printable(touched)}"


def _touches(suite: Suite, file: str) -> bool:
    wanted = not suite.paths or any(matches(file, pattern) for pattern in suite.paths)
    return wanted and not any(matches(file, pattern) for pattern in suite.paths_ignore)


def _is_for(branches: Sequence[str], ref: str) -> bool:
    return any(matches(caseless(ref), caseless(f"refs/heads/{branch}")) for branch in branches)


def _same(one: str, other: str) -> bool:
    # GitHub compares without regard to case, in its expressions as in the names of labels.
    return caseless(one) == caseless(other)
