"""What the ``if:`` of a job says that trainci has a key for, and what of it is left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from trainci.adopt.placed import Table

_LABELS = r"github\.event\.pull_request\.labels\.\*\.name"
_HAS_LABEL = re.compile(rf"(!\s*)?contains\(\s*{_LABELS}\s*,\s*'([^']*)'\s*\)")
_LABEL_IS = re.compile(r"github\.event\.label\.name\s*==\s*'([^']*)'")
_NO_DRAFTS = re.compile(
    r"!\s*github\.event\.pull_request\.draft|github\.event\.pull_request\.draft\s*(?:==\s*false|!=\s*true)"
)
# What says nothing about which tests run: the event, the state of other jobs, whether there is a pull request.
_MEANINGLESS = re.compile(
    r"!?\s*(?:always|success|failure|cancelled)\(\)"
    r"|github\.event_name\s*[!=]=\s*'[^']*'"
    r"|github\.event\.action\s*[!=]=\s*'[^']*'"
    r"|github\.event\.pull_request(?:\s*[!=]=\s*(?:null|''))?(?![\w.])"
    r"|needs\.[\w-]+\.result\s*[!=]=\s*'[^']*'"
    # A bot's own pull requests are left out.
    r"|github\.[\w.]+\s*!=\s*'[\w-]+\[bot\]'"
    r"|(?<![\w.])(?:true|false)(?![\w.])"
)
# With one of these in its condition a job starts although a job before it did not.
_WHATEVER_CAME = re.compile(r"(?:always|failure|cancelled)\(\)")
_EVENT_IS = re.compile(r"github\.event_name\s*==\s*'([^']*)'")
STARTING = ("pull_request", "pull_request_target", "push")
# What keeps out a few of those that would start it (nested no deeper than anybody writes), or is of another event.
_KEEPS_OUT = re.compile(
    r"github\.event\.inputs\.[\w-]+|!\s*\w*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|!\s*github\.[\w.*-]+|github\.[\w.]+\s*!=\s*'[^']*'"
)
_FORK_GUARD = re.compile(
    r"github\.repository(?:_owner)?\s*==\s*'[^']*'|!\s*github\.event\.pull_request\.head\.repo\.fork"
    r"|github\.event\.pull_request\.head\.repo\.full_name\s*==\s*github\.repository(?![\w.])"
)


@dataclass(frozen=True)
class Condition:
    """``labels`` start the job; ``guards`` keep forks out; ``rest`` is what has no key, "" for nothing.

    ``by_change`` is False where only other events than a pull request or a push start the job.
    """

    labels: tuple[str, ...] = ()
    drafts: bool = True
    guards: tuple[str, ...] = ()
    rest: str = ""
    by_change: bool = True

    @property
    def asks_for_few(self) -> bool:
        """Whether only some pull requests start the job, by what their event says, not all but some."""
        return "github.event." in _KEEPS_OUT.sub(" ", self.rest)


def read_condition(text: str) -> Condition:
    """Take an ``if:`` apart."""
    text = " ".join(text.removeprefix("${{").removesuffix("}}").split()) if text.startswith("${{") else text
    labels = [match.group(2) for match in _HAS_LABEL.finditer(text) if not match.group(1)]
    labels += [match.group(1) for match in _LABEL_IS.finditer(text)]
    rest = _LABEL_IS.sub(" ", _HAS_LABEL.sub(lambda match: match.group() if match.group(1) else " ", text))
    drafts = _NO_DRAFTS.search(rest) is None
    rest = _NO_DRAFTS.sub(" ", rest)
    guards = tuple(_FORK_GUARD.findall(rest))
    rest = _MEANINGLESS.sub(" ", _FORK_GUARD.sub(" ", rest))
    without_marks = re.sub(r"[\s()&|!]+", " ", rest).strip()
    said = " ".join(text.split()) if without_marks else ""
    return Condition(tuple(dict.fromkeys(labels)), drafts, guards, said, _by_change(text))


def _by_change(text: str) -> bool:
    """Whether one of the alternatives may hold for a pull request or a push."""
    return any(
        all(event in STARTING for event in _EVENT_IS.findall(alternative)) for alternative in text.split("||")
    )


def starting_condition(text: str, job: Table, jobs: Table) -> Condition:
    """The condition ``text`` of a job with the labels of the jobs before it, without which it does not start."""
    condition = read_condition(text)
    seen: set[str] = set()
    waiting = [job]
    while waiting and not condition.labels:
        one = waiting.pop()
        condition = replace(condition, labels=tuple(_asked_for(one)))
        before = () if _WHATEVER_CAME.search(one.text("if")) else one.texts("needs")
        for name in (name for name in before if name not in seen):
            seen.add(name)
            waiting.append(jobs.table(name))
            own = read_condition(jobs.table(name).text("if"))
            labels = condition.labels or own.labels
            drafts, by_change = condition.drafts and own.drafts, condition.by_change and own.by_change
            condition = replace(condition, labels=labels, drafts=drafts, by_change=by_change)
    return condition


def _asked_for(job: Table) -> Iterator[str]:
    """The labels without which a step ends a job at once."""
    for step in job.items_of("steps"):
        if isinstance(step, Table) and re.search(r"\bexit [1-9]", step.text("run")):
            yield from (match.group(2) for match in _HAS_LABEL.finditer(step.text("if")) if match.group(1))
