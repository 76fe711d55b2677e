"""Pure: the runs of several jobs as one summary, a table a suite, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainci.model.run import Attempt, Outcome, Result, Run
from trainci.reports.outlook import Base, Cost, cost_in_words
from trainci.reports.reason import reason, red
from trainci.reports.summary import TABLE_HEAD, code, details, escaped, row
from trainci.reports.words import counts_of, duration
from trainci.text import counted

_MOST_LABELS = 20
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
    found: Sequence[Merged],
    base: Base,
    costs: Sequence[Cost],
    room: int,
    unread: Sequence[str] = (),
    ended: str = "",
) -> str:
    """All suites, the red first, in at most ``room`` bytes, against ``base``, and what more labels would cost.

    ``unread`` are the suites that left something which is no run's. ``ended``: how the whole workflow ended, by
    GitHub's word, which knows of jobs that left nothing; empty if unknown.
    """
    commit = next((merged.run.commit[:12] for merged in found), "")
    parts = [
        f"### trainci · {escaped(commit) or 'no commit'}\n\n",
        "| suite | verdicts | new | took | GPU-hours |\n|---|---|---|---|---|\n",
    ]
    parts += [f"| ❌ {escaped(suite) or 'run'} | what it left is no run's | | | |\n" for suite in unread]
    parts += [_suite_row(merged, base) for merged in found]
    parts += [] if found or unread else ["| ❌ no run was found | | | | |\n"]
    parts.append("\n")
    if base.unknown and any(red(merged.run) for merged in found):
        parts.append(f"What is new is not known: {escaped(base.unknown)}\n\n")
    if ended not in ("", "success"):
        parts.append(
            f"❌ The workflow's run ended as **{escaped(ended)}**: a job may have left nothing to tell.\n\n"
        )
    parts += _next_labels(costs)
    for merged in found:
        parts += [details(merged.run, one, note=_news(one.test_id, base)) for one in _red_of(merged, base)]
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


def _suite_row(merged: Merged, base: Base) -> str:
    run = merged.run
    name = f"{_sign(run)} {escaped(merged.suite) or 'run'}"
    took = duration(run.ended_at - run.started_at)
    return f"| {name} | {escaped(counts_of(run))} | {_new_of(run, base)} | {took} | {merged.gpu_hours:.2f} |\n"


def _new_of(run: Run, base: Base) -> str:
    """How many of its red tests are new."""
    found = [base.is_new(result.test_id) for result in red(run)]
    new, unknown = found.count(True), found.count(None)
    if base.unknown:
        return "not known" if found else ""
    parts = [f"{new} red"] if new else []
    parts += [f"{unknown} not known"] if unknown else []
    return ", ".join(parts) or ("none" if found else "")


def _next_labels(costs: Sequence[Cost]) -> list[str]:
    if not costs:
        return []
    shown = costs[:_MOST_LABELS]
    rows = [
        f"| {code(one.label)} | {one.tests or ''} | {hours} | {escaped(time)} |\n"
        for one in shown
        for hours, time in [cost_in_words(one)]
    ]
    left = [f"\n… and {counted(len(costs) - len(shown), 'more label')}.\n"] if len(costs) > len(shown) else []
    title = "What the next label would cost, by what its tests took before:\n\n"
    return [f"{title}| label | tests | GPU-hours | time |\n|---|---|---|---|\n", *rows, *left, "\n"]


def _sign(run: Run) -> str:
    """Green is only what ran."""
    if red(run):
        return "❌"
    return "✅" if any(result.verdict.outcome in _RAN for result in run.results) else "⏭️"


def _red_of(merged: Merged, base: Base) -> list[Result]:
    """What the change broke comes before what was broken already."""
    order = (True, None, False)
    return sorted(red(merged.run), key=lambda result: order.index(base.is_new(result.test_id)))


def _news(test_id: str, base: Base) -> str:
    if base.unknown:
        return ""
    notes = {
        True: f"new: not red on {base.name}",
        False: f"red on {base.name}, too",
        None: f"not known: it never ran on {base.name}, as far as the history tells",
    }
    return notes[base.is_new(test_id)]


def _table(merged: Merged) -> str:
    rows = "\n".join(row(result) for result in merged.run.results)
    title = f"{merged.suite or 'run'}: every test"
    return f"<details><summary>{escaped(title)}</summary>\n\n{TABLE_HEAD}{rows}\n\n</details>\n\n"


def one_line(found: Sequence[Merged], base: Base, costs: Sequence[Cost]) -> list[str]:
    """The same for a terminal: a line a suite, one for each red test, and one for each further label."""
    lines = []
    for merged in found:
        lines.append(f"{merged.suite or 'run'}: {counts_of(merged.run)}, {merged.gpu_hours:.2f} GPU-hours")
        for one in _red_of(merged, base):
            news = _news(one.test_id, base)
            told = f"    {one.verdict.outcome.value} {one.test_id}: {reason(one.verdict)}"
            lines.append(f"{told} ({news})" if news else told)
    if base.unknown and any(red(merged.run) for merged in found):
        lines.append(f"what is new is not known: {base.unknown}")
    for one_cost in costs:
        hours, time = cost_in_words(one_cost)
        lines.append(f"{one_cost.label} would cost, in GPU-hours: {hours} ({time})")
    return lines


def _device_seconds(attempt: Attempt) -> float:
    return attempt.duration * len(attempt.devices)
