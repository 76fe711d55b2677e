"""``python -m benchmarks.mutants``: run a sample of the mutants by rule and all by hand, and write the table."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.mutants.by_hand import FAULTS
from benchmarks.mutants.claims import CLAIMS
from benchmarks.mutants.read import EQUIVALENT
from benchmarks.mutants.rules import mutants
from benchmarks.mutants.run import Subject, as_row, judge
from benchmarks.mutants.table import Row, table

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "posttrain"
RESULTS = ROOT / "benchmarks" / "results" / "mutants.md"


def by_hand() -> list[Subject]:
    subjects = []
    for fault in FAULTS:
        source = (EXAMPLE / fault.file).read_text(encoding="utf-8")
        if source.count(fault.old) != 1:
            raise SystemExit(
                f"{fault.file} holds {source.count(fault.old)} of what {fault.what!r} replaces: bring it up to date"
            )
        changed = source.replace(fault.old, fault.new)
        subjects.append(Subject("by hand", fault.family, fault.what, fault.met, fault.file, changed))
    return subjects


def by_rule(count: int, seed: int) -> list[Subject]:
    """``count`` of all of them, drawn by ``seed``."""
    every = [
        Subject(
            "by rule", mutant.rule, f"line {mutant.line}: {mutant.before} → {mutant.after}", "", file, mutant.source
        )
        for file in sorted(CLAIMS)
        for mutant in mutants((EXAMPLE / file).read_text(encoding="utf-8"))
    ]
    sys.stderr.write(f"{len(every)} mutants by rule; {min(count, len(every))} are run\n")
    return random.Random(seed).sample(every, min(count, len(every)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sample", type=int, default=120, help="so many mutants by rule; rows that are there are not run again"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--only", default="", help="those whose file or text holds this")
    parser.add_argument("--kind", choices=("by hand", "by rule"), help="one kind only")
    parser.add_argument("--rows", type=Path, default=ROOT / "benchmarks" / "results" / "mutants.jsonl")
    parser.add_argument("--deadline", type=float, default=float("inf"), help="begin none after so many seconds")
    options = parser.parse_args()
    subjects = [s for s in by_hand() + by_rule(options.sample, options.seed) if options.kind in (None, s.kind)]
    subjects = [subject for subject in subjects if options.only in f"{subject.file} {subject.what}"]
    # A run that is cut short has then run a sample of each kind.
    random.Random(options.seed).shuffle(subjects)
    _prepare()
    options.rows.touch()
    done = {(row["file"], row["what"]) for row in _rows(options.rows)}
    _run([subject for subject in subjects if (subject.file, subject.what) not in done], options)
    counted = {
        kind: len([subject for subject in subjects if subject.kind == kind]) for kind in ("by hand", "by rule")
    }
    RESULTS.write_text(table(_rows(options.rows), EQUIVALENT, _preface(counted)), encoding="utf-8")


def _preface(counted: dict[str, int]) -> str:
    return (
        "Each mutant is run against the tests of the labels that claim its ground (benchmarks/mutants/claims.py), "
        f"one after the other until one fails. Drawn were {counted['by hand']} by hand and {counted['by rule']} by "
        "rule; below stand those that were run. `python -m benchmarks.mutants` writes this page."
    )


def _rows(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _prepare() -> None:
    """The models are built once, not once a mutant."""
    for family in ("qwen2.5", "qwen3", "qwen3-moe", "mimo", "moonlight", "glm4", "qwen2.5-vl"):
        command = [sys.executable, "-m", "posttrain.task.assets", f".cache/{family}-tiny", "--family", family]
        subprocess.run(command, cwd=EXAMPLE, check=True)


def _run(subjects: list[Subject], options: argparse.Namespace) -> None:

    started = time.monotonic()

    def one(subject: Subject) -> None:
        if time.monotonic() - started > options.deadline:
            return
        row = as_row(subject, judge(EXAMPLE, subject, CLAIMS[subject.file]))
        with options.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        sys.stdout.write(f"{row['outcome']:10} {row['seconds']:4.0f} s  {row['file']}: {row['what']}\n")
        sys.stdout.flush()

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, subjects))


if __name__ == "__main__":
    main()
