"""Pure: the rule of ``triggers`` as ``if:`` expressions of GitHub.

Language: https://docs.github.com/actions/reference/evaluate-expressions-in-workflows-and-actions
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainci.github.triggers import ALL_SUITES, PUSHED, READY, has_branch_globs, is_narrowed
from trainci.model.project import Suite, is_hosted

# The job of the workflow that asks `trainci plan`, and the names of the suites that it says run.
PLAN = "plan"
_SUITES = f"needs.{PLAN}.outputs.suites"
_OWN = "github.event.pull_request.head.repo.full_name == github.repository"
# A ref typed by hand may be a pull request of a fork's (refs/pull/1/head), so it is trusted with no secret.
_TRUSTED = f"!inputs.ref && (github.event_name != 'pull_request' || {_OWN})"


def starts(suite: Suite, base: str) -> tuple[str, ...]:
    """The ways in which an event starts ``suite``: its job runs when one of these expressions is true.

    What an expression cannot see, the changed files and branches by glob, the job PLAN has found out: a way that
    rests on it is true as well where that job failed, so that what sums the suite up is red.
    """
    label = literal(suite.label)
    actions = (*PUSHED, *(() if suite.drafts else (READY,)))
    pushed = " || ".join(f"github.event.action == '{action}'" for action in actions)
    wanted = () if suite.always else (f"contains(github.event.pull_request.labels.*.name, {label})",)
    own = () if is_hosted(suite.runs_on) else (_OWN,)
    planned = (f"(needs.{PLAN}.result != 'success' || contains(fromJSON({_SUITES}), {literal(suite.name)}))",)
    by_glob = planned if has_branch_globs(suite) else ()
    touched = planned if is_narrowed(suite) else by_glob
    pull_request = (
        "github.event_name == 'pull_request'",
        *_branch(suite, "github.event.pull_request.base.ref", ""),
        *(() if suite.drafts else ("!github.event.pull_request.draft",)),
    )
    ways = [
        _all(*pull_request, "github.event.action == 'labeled'", f"github.event.label.name == {label}", *by_glob),
        _all(*pull_request, f"({pushed})", *wanted, *own, *touched),
        _all(
            "github.event_name == 'workflow_dispatch'",
            f"(inputs.suite == '{ALL_SUITES}' || inputs.suite == {literal(suite.name)})",
        ),
    ]
    if suite.always:
        to_base = _branch(suite, "github.ref", "refs/heads/") or (
            () if suite.branches else (f"github.ref == {literal(f'refs/heads/{base}')}",)
        )
        ways.append(_all("github.event_name == 'push'", *to_base, *touched))
        queue = _branch(suite, "github.event.merge_group.base_ref", "refs/heads/")
        parts = ("github.event_name == 'merge_group'", *queue, *by_glob)
        ways.append(_all(*parts) if parts[1:] else parts[0])
    if suite.schedule:
        ways.append(_all("github.event_name == 'schedule'", f"github.event.schedule == {literal(suite.schedule)}"))
    return tuple(ways)


def needs_plan(suite: Suite) -> bool:
    """Whether expressions alone cannot say if an event starts ``suite``."""
    return is_narrowed(suite) or has_branch_globs(suite)


def _branch(suite: Suite, ref: str, prefix: str) -> tuple[str, ...]:
    """That ``ref`` is one of the branches of ``suite``; nothing where these are globs, or where there are none."""
    if has_branch_globs(suite) or not suite.branches:
        return ()
    same = " || ".join(f"{ref} == {literal(prefix + branch)}" for branch in suite.branches)
    return (f"({same})" if suite.branches[1:] else same,)


def group(suite: Suite, hears_ready: bool) -> str:
    """What tells runs of ``suite`` apart: a newer one of the same pull request cancels the older.

    An event that is another suite's is a group of its own, so that it cannot cancel, whatever GitHub does with a
    skipped job. ``hears_ready``: drafts that become ready for review are among the workflow's events.
    """
    other = f"github.event.action == 'labeled' && github.event.label.name != {literal(suite.label)}"
    if hears_ready and suite.drafts:
        other = f"({other} || github.event.action == '{READY}')"
    return f"{other} && github.run_id || github.event.pull_request.number || github.run_id"


def secret(name: str) -> str:
    """The value of a secret, or nothing where a fork's code could read it."""
    return f"${{{{ {_TRUSTED} && secrets.{name} || '' }}}}"


def state_dir() -> str:
    """Where a runner of one's own keeps a repository's state; nothing for a fork's code, which could spoil it."""
    place = "format('{0}/trainci/{1}', runner.tool_cache, github.repository)"
    return f"${{{{ {_TRUSTED} && {place} || '' }}}}"


def caches(mounts: Sequence[str]) -> str:
    """Options of `docker create` that mount ``mounts`` (``/on/the/host:/inside``); empty for none.

    Read-only where a fork's code could spoil what is there. Options, and both repositories from the event, for act:
    it takes no expression in a container's `volumes`, and its `github.repository` is another.
    """
    if not mounts:
        return ""
    own = "github.event.pull_request.head.repo.full_name == github.event.repository.full_name"
    trusted = f"!inputs.ref && (github.event_name != 'pull_request' || {own})"
    paths = [mount.removesuffix(":rw") for mount in mounts]
    writable, read_only = (" ".join(f'-v "{path}{mode}"' for path in paths) for mode in ("", ":ro"))
    return f"${{{{ {trusted} && {literal(writable)} || {literal(read_only)} }}}}"


def passed(tests: str, detect: str) -> str:
    """Whether all is well with a suite: its job ``tests`` passed, or ``detect`` found that nothing has changed.

    A job that was skipped for any other reason (one before it failed, say) has not passed.
    """
    succeeded = f"needs.{tests}.result == 'success'"
    if not detect:
        return succeeded
    nothing = f"needs.{tests}.result == 'skipped' && needs.{detect}.outputs.has_tests == 'false'"
    return f"needs.{detect}.result == 'success' && ({succeeded} || {nothing})"


def branch_filter(branch: str) -> str:
    """``branch`` as ``on.push.branches`` takes it, where some characters that a branch may have are patterns.

    Format: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet
    """
    return re.sub(r"([+!\]])", r"\\\1", branch)


def literal(text: str) -> str:
    """``text`` as a string of the expression language."""
    return "'" + text.replace("'", "''") + "'"


def _all(*parts: str) -> str:
    return "(" + " && ".join(parts) + ")"
