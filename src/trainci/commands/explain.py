"""``trainci explain``: whose fault an ending was, from any log."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trainci.answers.form import line_of
from trainci.answers.values import Explained
from trainci.config import find_root, load
from trainci.errors import UsageError
from trainci.history.event_log import read_events
from trainci.host.files import read_bounded
from trainci.log_files import packaged_rules, read_log, rules_for
from trainci.model import events
from trainci.model.diagnosis import Diagnosis, Facts, LogRule
from trainci.model.run import Outcome
from trainci.paths import EVENTS
from trainci.text import printable
from trainci.verdict.circumstances import TOLD, facts_of_attempt
from trainci.verdict.diagnose import diagnose, outcome_of
from trainci.verdict.facts_file import facts_of

_LARGEST_FACTS = 1 << 20


@click.command("explain")
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@click.option("--facts", "given", metavar="JSON", help="What is known beside the log, or a file of it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a log, each on a line (docs/json.md).")
def command(logs: tuple[Path, ...], given: str | None, as_json: bool) -> int:
    """Say whose fault it was that a test did not pass, and which line or fact says so.

    Each LOG is judged by the rules that `trainci run` uses, be it trainci's or another CI's. Facts that are not
    given are unknown, not false: {"exit_code": 1, "signal": "SIGKILL", "timed_out": false, "kernel_oom": true}.
    Without --facts they are those that the events beside the log tell of it, if it is of a run of trainci's.
    """
    facts = None if given is None else _facts(given)
    rules = _rules()
    for log in logs:
        outcome, diagnosis = _judge(log, rules, _recorded(log) if facts is None else facts)
        click.echo(_json(log, outcome, diagnosis) if as_json else _text(log, outcome, diagnosis))
    return 0


def _rules() -> tuple[LogRule, ...]:
    """Those of the repository that somebody stands in, if there is one."""
    try:
        root = find_root(Path.cwd())
    except UsageError:
        return packaged_rules()
    return rules_for(load(root).verdicts)


def _judge(log: Path, rules: tuple[LogRule, ...], facts: Facts) -> tuple[Outcome, Diagnosis]:
    try:
        reading = read_log(log, rules)
    except OSError as error:
        raise UsageError(f"{printable(str(log))}: the log cannot be read: {error.strerror}.") from None
    diagnosis = diagnose(reading, facts)
    return outcome_of(diagnosis, facts), diagnosis


def _recorded(log: Path) -> Facts:
    """How the attempt ended whose log this is, as its run wrote it down beside it; else nothing is known."""
    its_own: tuple[str, int] | None = None
    facts = Facts()
    for event in read_events(log.parent / EVENTS):
        match event:
            case events.Queued() if Path(event.log).name == log.name:
                its_own = event.test_id, event.attempt
            case events.Ended() if (event.test_id, event.attempt) == its_own:
                told = event.diagnosis is not None and event.diagnosis.rule == TOLD
                facts = facts_of_attempt(event.ending, phased=told)
    return facts


def _facts(given: str) -> Facts:
    place = "--facts"
    text = given
    if not given.lstrip().startswith(("{", "[")):
        place = f"--facts {printable(given)}"
        try:
            text = read_bounded(Path(given), _LARGEST_FACTS).decode()
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise UsageError(f"{place}: neither JSON nor a file that can be read: {said}.") from None
    try:
        return facts_of(json.loads(text))
    except RecursionError:
        raise UsageError(f"{place}: nested too deeply.") from None
    except ValueError as error:
        raise UsageError(f"{place}: {error}.") from None


def _json(log: Path, outcome: Outcome, diagnosis: Diagnosis) -> str:
    answer = Explained(
        log=str(log),
        outcome=outcome.value,
        blame=diagnosis.blame.value if outcome is not Outcome.PASSED else None,
        rule=diagnosis.rule,
        sentence=diagnosis.sentence,
        evidence=diagnosis.evidence,
        line=diagnosis.line,
    )
    return line_of(answer)


def _text(log: Path, outcome: Outcome, diagnosis: Diagnosis) -> str:
    place = f"{printable(str(log))}:{diagnosis.line}" if diagnosis.line else printable(str(log))
    lines = [
        f"{place}: {outcome.value}",
        f"    blame:    {diagnosis.blame.value} (rule {diagnosis.rule})",
        f"    because:  {printable(diagnosis.sentence)}",
    ]
    if diagnosis.evidence:
        lines.append(f"    evidence: {printable(diagnosis.evidence)}")
    return "\n".join(lines if outcome is not Outcome.PASSED else lines[:1])
