"""Pure: the runs of several jobs as one summary, a table a suite, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainci.model.run import Attempt, Outcome, Run
from trainci.reports.reason import reason, red
from trainci.reports.summary import TABLE_HEAD, details, escaped, row
from trainci.reports.words import counts_of, duration
from trainci.text import counted

_RAN = (Outcome.PASSED, Outcome.FLAKY)
# As the generated workflow calls the artifact of a job of a suite's matrix.
_ARTIFACT = re.compile(r"(?P<suite>.+?)-\d+-attempt-\d+")


@dataclass(frozen=True)
class Merged:
    """What all jobs of a suite say together."""

    suite: str
    run: Run

    @property
    def gpu_hours(self) -> float:
        """What its attempts held of devices, virtual ones too."""
        return sum(_device_seconds(attempt) for result in self.run.results for attempt in result.attempts) / 3600


def suite_of(artifact: str) -> str:
    """The suite that a job's artifact is of, by its name; any other name stands for itself."""
    found = _ARTIFACT.fullmatch(artifact)
    return found["suite"] if found else artifact


def merge(runs: Sequence[tuple[str, Run]]) -> list[Merged]:
    """One run a suite. Of a test that several of them have, as when jobs are run again, the newest counts."""
    suites: dict[str, list[Run]] = {}
    for suite, run in sorted(runs, key=lambda pair: pair[1].started_at):
        suites.setdefault(suite, []).append(run)
    return [Merged(suite, _together(found)) for suite, found in sorted(suites.items())]


def _together(oldest_first: Sequence[Run]) -> Run:
    newest = oldest_first[-1]
    found = {result.test_id: (run, result) for run in oldest_first for result in run.results}.values()
    runs = [run for run, _ in found] or [newest]
    replay = {result.test_id: run.replay.get(result.test_id, "") for run, result in found}
    return Run(
        id=newest.id,
        commit=newest.commit,
        started_at=min(run.started_at for run in runs),
        ended_at=max(run.ended_at for run in runs),
        results=tuple(result for _, result in found),
        devices=", ".join(dict.fromkeys(run.devices for run in runs)),
        exit_code=max(run.exit_code for run in runs),
        replay={test_id: command for test_id, command in replay.items() if command},
    )


def markdown(
    found: Sequence[Merged], base: Sequence[Merged] | None, room: int, unread: Sequence[str] = (), ended: str = ""
) -> str:
    """All suites, the red first, in at most ``room`` bytes; ``base``: those of the base branch, None if unknown.

    ``unread`` are the suites that left something which is no run's. ``ended``: how the whole workflow ended, by
    GitHub's word, which knows of jobs that left nothing; empty if unknown.
    """
    before = {merged.suite: {result.test_id for result in red(merged.run)} for merged in base or ()}
    commit = next((merged.run.commit[:12] for merged in found), "")
    parts = [
        f"### trainci · {escaped(commit) or 'no commit'}\n\n",
        "| suite | verdicts | took | GPU-hours |\n|---|---|---|---|\n",
    ]
    parts += [f"| ❌ {escaped(suite) or 'run'} | what it left is no run's | | |\n" for suite in unread]
    parts += [_suite_row(merged) for merged in found]
    parts += [] if found or unread else ["| ❌ no run was found | | | |\n"]
    parts.append("\n")
    if ended not in ("", "success"):
        parts.append(
            f"❌ The workflow's run ended as **{escaped(ended)}**: a job may have left nothing to tell.\n\n"
        )
    for merged in found:
        parts += _red_of(merged, None if base is None else before.get(merged.suite, set()))
    tables = [_table(merged) for merged in found]
    return _cut(parts, tables, room)


def _cut(parts: Sequence[str], tables: Sequence[str], room: int) -> str:
    """Of what is too much the tables go first, then the last of the red tests; and how much went is said."""
    note = "\n… {}: there is no room for more. The jobs' own pages and artifacts have everything.\n"
    head, left = "", 0
    limit = room - len(note) - 40
    for number, part in enumerate(parts):
        if _size(head) + _size(part) > limit:
            left = len(parts) - number
            break
        head += part
    if left:
        return head + note.format(counted(left, "more part"))
    whole = head + "".join(tables)
    return whole if _size(whole) <= room else head + note.format("the table of every test")


def _size(said: str) -> int:
    return len(said.encode("utf-8", "backslashreplace"))


def _suite_row(merged: Merged) -> str:
    run = merged.run
    name = f"{_sign(run)} {escaped(merged.suite) or 'run'}"
    took = duration(run.ended_at - run.started_at)
    return f"| {name} | {escaped(counts_of(run))} | {took} | {merged.gpu_hours:.2f} |\n"


def _sign(run: Run) -> str:
    """Green is only what ran."""
    if red(run):
        return "❌"
    return "✅" if any(result.verdict.outcome in _RAN for result in run.results) else "⏭️"


def _red_of(merged: Merged, before: set[str] | None) -> list[str]:
    found = red(merged.run)
    if before is not None:
        # What the change broke comes before what was broken already.
        found.sort(key=lambda result: result.test_id in before)
    return [
        details(merged.run, result, note="" if before is None else _news(result.test_id, before))
        for result in found
    ]


def _news(test_id: str, before: set[str]) -> str:
    return "red on the base branch, too" if test_id in before else "new: not red on the base branch"


def _table(merged: Merged) -> str:
    rows = "\n".join(row(result) for result in merged.run.results)
    title = f"{merged.suite or 'run'}: every test"
    return f"<details><summary>{escaped(title)}</summary>\n\n{TABLE_HEAD}{rows}\n\n</details>\n\n"


def one_line(found: Sequence[Merged]) -> list[str]:
    """The same for a terminal: a line a suite, and one for each red test."""
    lines = []
    for merged in found:
        lines.append(f"{merged.suite or 'run'}: {counts_of(merged.run)}, {merged.gpu_hours:.2f} GPU-hours")
        lines += [
            f"    {one.verdict.outcome.value} {one.test_id}: {reason(one.verdict)}" for one in red(merged.run)
        ]
    return lines


def _device_seconds(attempt: Attempt) -> float:
    return attempt.duration * len(attempt.devices)
