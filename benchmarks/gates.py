"""Whether a number really moved: how often the rule of `trainci.verdict` is wrong, and what it sees.

Replays the decision on the values that real trainings ended with (`benchmarks.gate_runs`), and on simulated noise.
What is judged as a run of the pull request is shifted by so many standard deviations.
"""

import json
import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from trainci.model.gates import Standing
from trainci.verdict.baselines import bands
from trainci.verdict.gates import RUNS, standing_of

SEED, DRAWS = 5, 8000
COUNTS = (8, 12, 20)
KEPT = Path(__file__).with_name("gate_runs.json")
# What issue and docs promise, with 12 trusted runs.
FALSE_RED, REPEATED, SEEN_4, SEEN_6 = 0.005, 0.08, 0.65, 0.95
METRICS = {"reward": "reward", "loss": "loss", "grad_norm": "gradient norm", "mean_log_prob_gap": "log-prob gap"}
# Their values differ by factors.
BY_FACTORS = ("grad_norm", "mean_log_prob_gap")
ABOUT = """\
Each row: {draws} decisions. The trainings are {runs} GRPO runs of examples/posttrain on the CPU, {steps} steps
each with a seed of its own, and their last values; runs of a row are drawn without putting back. σ is the
standard deviation of those values; half of the shifts go up, half down. Goals, with 12 trusted runs: at most
0.5 % false red and 8 % repeated of each metric and run, at least 65 % of 4 σ and 95 % of 6 σ seen.

What decides: a prediction interval with Student's t around the winsorised mean, a tenth of the values at each
end drawn in (at least one), the deviation times 0.97 (n - 1) / (h - 1), where h values are left, with h - 1
degrees of freedom (Tukey and McLaughlin 1963; Dixon and Tukey 1968). Tried on the same values, and worse: a
fifth drawn in (sees 65 % of 4 σ of normal noise), nothing drawn in (misses one in 17 shifts of 6 σ where one
run in 20 is stray), without 0.97 (the loss is at 63 % of 4 σ), a deviation for each side, bands that hold every
trusted value, logarithms wherever the trusted values are skewed (see less, and are wrong as often).

A metric whose values differ by factors misses the goals as it is, and meets them with `scale = "log"`.

Real regressions, each run of which is judged by 12 runs of the training as it is (gradient norm and gap by their
logarithms):

{table}"""
Draw = Callable[[int], list[float]]


@dataclass(frozen=True)
class Source:
    """Where values come from, and their standard deviation: of their logarithms where these are compared."""

    name: str
    draw: Draw
    deviation: float
    log: bool = False


@dataclass
class Rates:
    """Shares of runs: repeated and red with nothing changed, red with a shift of 4 and of 6 deviations."""

    repeated: float
    false_red: float
    seen_4: float
    seen_6: float

    @property
    def meets(self) -> bool:
        return (
            self.repeated <= REPEATED
            and self.false_red <= FALSE_RED
            and self.seen_4 >= SEEN_4
            and self.seen_6 >= SEEN_6
        )


def main() -> None:
    chance = random.Random(SEED)
    kept = json.loads(KEPT.read_text())
    rows = [["values", "trusted runs", "repeated", "false red", "4 σ seen", "6 σ seen", "all four goals"]]
    for source in (*real(kept["runs"]["as it is"], chance), *simulated(chance)):
        for count in COUNTS:
            rates = replayed(source, count)
            goals = "" if count != 12 else "met" if rates.meets else "missed"
            shares = (rates.repeated, rates.false_red, rates.seen_4, rates.seen_6)
            rows.append([source.name, str(count), *(f"{share:.2%}" for share in shares), goals])
    measure.record("gates", "Whether a number really moved: how often the verdict is wrong", rows, notes(kept))


def real(runs: Sequence[dict[str, float]], chance: random.Random) -> Iterator[Source]:
    """What the trainings ended with, each with its standard deviation over all of them."""
    for metric, name in METRICS.items():
        values = [run[metric] for run in runs]
        yield Source(f"training: {name}", from_values(values, chance), statistics.stdev(values))
        if metric in BY_FACTORS:
            deviation = statistics.stdev(map(math.log, values))
            yield Source(f"training: {name}, scale = log", from_values(values, chance), deviation, log=True)


def from_values(values: Sequence[float], chance: random.Random) -> Draw:
    return lambda count: chance.sample(values, count)


def simulated(chance: random.Random) -> Iterator[Source]:
    def student(freedom: int) -> float:
        return chance.gauss(0, 1) / math.sqrt(chance.gammavariate(freedom / 2, 2) / freedom)

    def stray() -> float:
        return chance.gauss(0, 5 if chance.random() < 0.05 else 1)

    sources: dict[str, tuple[Callable[[], float], float]] = {
        "normal": (lambda: chance.gauss(0, 1), 1.0),
        "Student's t, 5 degrees": (lambda: student(5), math.sqrt(5 / 3)),
        "Student's t, 3 degrees": (lambda: student(3), math.sqrt(3)),
        "log-normal, σ of the logarithm 0.5": (
            lambda: chance.lognormvariate(0, 0.5),
            math.sqrt((math.exp(0.25) - 1) * math.exp(0.25)),
        ),
        "normal, 5 % of it five times as wide": (stray, math.sqrt(0.95 + 0.05 * 25)),
    }
    for name, (one, deviation) in sources.items():
        yield Source(f"simulated: {name}", from_source(one), deviation)


def from_source(one: Callable[[], float]) -> Draw:
    return lambda count: [one() for _ in range(count)]


def replayed(source: Source, count: int) -> Rates:
    """The decision with ``count`` trusted runs, as often as DRAWS says; shifts go up and down in turns."""
    repeated = false_red = seen_4 = seen_6 = 0
    for number in range(DRAWS):
        values = source.draw(count + RUNS)
        known, judged = bands(values[:count], log=source.log), values[count:]
        up = source.deviation if number % 2 else -source.deviation

        def red(shift: float, known=known, judged=judged) -> bool:
            moved = [value * math.exp(shift) if source.log else value + shift for value in judged]
            return standing_of(moved, known, new=False, over=True) is Standing.MOVED

        repeated += standing_of(judged[:1], known, new=False, over=False) is Standing.SUSPICIOUS
        false_red += red(0.0)
        seen_4 += red(4 * up)
        seen_6 += red(6 * up)
    return Rates(repeated / DRAWS, false_red / DRAWS, seen_4 / DRAWS, seen_6 / DRAWS)


def notes(kept: dict) -> str:
    """What the rows mean, and what became of real regressions."""
    runs, chance = kept["runs"], random.Random(SEED)
    usual = runs["as it is"]
    header = ["what was changed", "runs", *(f"{name} seen" for name in METRICS.values())]
    rows = [header, ["---"] * len(header)]
    for name, changed in runs.items():
        if changed is not usual:
            shares = (f"{_seen(usual, changed, metric, chance):.0%}" for metric in METRICS)
            rows.append([name, str(len(changed)), *shares])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return ABOUT.format(draws=DRAWS, runs=len(usual), steps=kept["steps"], table=table)


def _seen(
    usual: Sequence[dict[str, float]], changed: Sequence[dict[str, float]], metric: str, chance: random.Random
) -> float:
    red = 0
    for _ in range(DRAWS // 4):
        known = bands([run[metric] for run in chance.sample(usual, 12)], log=metric in BY_FACTORS)
        judged = [run[metric] for run in chance.sample(changed, RUNS)]
        red += standing_of(judged, known, new=False, over=True) is Standing.MOVED
    return red / (DRAWS // 4)


if __name__ == "__main__":
    main()
