"""``python -m benchmarks.mutants``: run mutants against the tests that claim their ground, and write the table.

Rows are appended to a file as they are made, and what stands there is not run again: a run that was cut short goes
on, and runs of several machines are put together by putting their rows into one file.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from benchmarks.mutants.by_hand import FAMILIES as BY_HAND
from benchmarks.mutants.claims import CLAIMS
from benchmarks.mutants.read import EQUIVALENT
from benchmarks.mutants.rules import mutants
from benchmarks.mutants.run import ENVIRONMENT, Judge, OutOfTime, Subject
from benchmarks.mutants.table import Row, table
from benchmarks.mutants.warm import Warm

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "posttrain"
RESULTS = ROOT / "benchmarks" / "results" / "mutants.md"
UNCHANGED = "unchanged"
"""The kind of the rows that say whether a test passes on the example as it is."""
FAMILIES = ("qwen2.5", "qwen3", "qwen3-moe", "mimo", "moonlight", "glm4", "qwen2.5-vl")
T = TypeVar("T")


def by_hand() -> list[Subject]:
    subjects = []
    for family, fault in ((family, fault) for family, faults in BY_HAND.items() for fault in faults):
        source = (EXAMPLE / fault.file).read_text(encoding="utf-8")
        if source.count(fault.old) != 1:
            raise SystemExit(
                f"{fault.file} holds {source.count(fault.old)} of what {fault.what!r} replaces: bring it up to date"
            )
        changed = source.replace(fault.old, fault.new)
        subjects.append(Subject("by hand", family, fault.what, fault.met, fault.file, changed))
    return subjects


def by_rule(count: int, seed: int) -> list[Subject]:
    """``count`` of all of them, in the fair order that ``seed`` draws."""
    every, seen = [], Counter[tuple[str, str]]()
    for file in sorted(CLAIMS):
        for mutant in mutants((EXAMPLE / file).read_text(encoding="utf-8")):
            what = f"line {mutant.line}: {mutant.before} → {mutant.after}"
            seen[file, what] += 1
            if seen[file, what] > 1:
                what += f" (place {seen[file, what]} of the line)"
            every.append(Subject("by rule", mutant.rule, what, "", file, mutant.source))
    drawn = fair_order(every, seed)[:count]
    sys.stderr.write(f"{len(every)} mutants by rule; {len(drawn)} are drawn\n")
    return drawn


def fair_order(every: list[Subject], seed: int) -> list[Subject]:
    """All of them, drawn by ``seed``, so that the first of them, however many, hold of each rule its share."""
    chance = random.Random(seed)
    shuffled = list(every)
    chance.shuffle(shuffled)
    sizes, seen = Counter(subject.family for subject in shuffled), Counter[str]()
    placed = []
    for subject in shuffled:
        placed.append(((seen[subject.family] + chance.random()) / sizes[subject.family], subject))
        seen[subject.family] += 1
    return [subject for _, subject in sorted(placed, key=itemgetter(0))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", type=int, default=120, help="so many mutants by rule; 0: those by hand alone")
    parser.add_argument("--no-hand", action="store_true", help="none by hand")
    parser.add_argument("--seed", type=int, default=0, help="draws those by rule")
    parser.add_argument("--only", default="", help="those whose file, family or text holds this")
    parser.add_argument("--jobs", type=int, default=1, help="tests at a time; each starts up to five processes")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long, whatever runs then")
    parser.add_argument("--rows", type=Path, default=ROOT / "build" / "mutants.jsonl")
    options = parser.parse_args()
    with Warm(ENVIRONMENT) as python:
        _run(options, Judge(EXAMPLE, python, time.monotonic() + options.seconds))


def _run(options: argparse.Namespace, judge: Judge) -> None:
    subjects = [] if options.no_hand else by_hand()
    subjects += by_rule(options.rule, options.seed) if options.rule else []
    subjects = [one for one in subjects if options.only in f"{one.file} {one.family} {one.what}"]
    rows = Rows(options.rows)
    subjects = [subject for subject in subjects if not rows.have(subject.file, subject.what)]
    _each(options.jobs, _build, [[family] for family in FAMILIES] + [["qwen3", "--supervised-steps", "40"]])
    tests = dict.fromkeys(test for subject in subjects for test in CLAIMS[subject.file])
    with ThreadPoolExecutor(options.jobs) as pool:
        known = {test: pool.submit(patience, judge, rows, test) for test in tests}
        list(pool.map(lambda subject: _judge(judge, rows, subject, known), subjects))
    RESULTS.write_text(table(rows.all(), EQUIVALENT, _preface(len(by_hand()))), encoding="utf-8")


def _preface(hand: int) -> str:
    return (
        "Each mutant is run against the tests of the labels that claim its ground (benchmarks/mutants/claims.py), "
        f"one after the other until one fails. There are {hand} by hand; those by rule are drawn by chance. "
        "`python -m benchmarks.mutants` writes this page."
    )


class Rows:
    """A file with a JSON line for each verdict."""

    def __init__(self, file: Path):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        self._file = file
        self._known = {(row["file"], row["what"]) for row in self.all()}

    def all(self) -> list[Row]:
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]

    def have(self, file: str, what: str) -> bool:
        """Whether it was there when this began."""
        return (file, what) in self._known

    def add(self, row: Row) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{row['outcome']:10} {row['seconds']:4.0f} s  {row['file']}: {row['what']}  {row['by']}", flush=True)

    def of_unchanged(self, test: str) -> Row | None:
        """What is known of ``test`` on the example as it is."""
        return next((row for row in self.all() if row["kind"] == UNCHANGED and row["what"] == test), None)


def _each(jobs: int, action: Callable[[T], None], things: Iterable[T]) -> None:
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(action, things))


def _build(words: list[str]) -> None:
    """The models are built once, not once a mutant."""
    directory = f".cache/{words[0]}-tiny" + ("-teacher" if words[1:] else "")
    command = [sys.executable, "-m", "posttrain.task.assets", directory, "--family", *words]
    subprocess.run(command, cwd=EXAMPLE, check=True)


def patience(judge: Judge, rows: Rows, test: str) -> float | None:
    """So many seconds it may take on a mutant; None: it does not pass on the example as it is, or time is over."""
    row = rows.of_unchanged(test)
    if row is None:
        try:
            verdict = judge.sound(test)
            if verdict.outcome != "passed":  # it may have met another run on a port
                verdict = judge.sound(test)
        except OutOfTime:
            return None
        row = {"kind": UNCHANGED, "family": "", "what": test, "met": "", "file": "", **asdict(verdict)}
        rows.add(row)
    if row["outcome"] != "passed":
        sys.stderr.write(f"nothing is judged by {test}: it does not pass on the example as it is\n")
        return None
    return float(60 + 4 * row["seconds"])


def _judge(judge: Judge, rows: Rows, subject: Subject, known: Mapping[str, Future[float | None]]) -> None:
    # None of these futures waits for this one: the pool began them before.
    tests = {test: seconds for test in CLAIMS[subject.file] if (seconds := known[test].result()) is not None}
    if not tests:
        return
    try:
        verdict = judge.changed(subject, tests)
    except OutOfTime:
        return
    row = {**asdict(subject), **asdict(verdict)}
    del row["source"]
    rows.add(row)


if __name__ == "__main__":
    main()
