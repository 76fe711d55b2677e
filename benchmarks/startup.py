"""Start-up of the console script, as a ratio to `python -c pass`. Aim: `trainci --help` at most 3."""

import sys
from pathlib import Path

from benchmarks import measure

ROUNDS = 25


def main() -> None:
    script = str(Path(sys.executable).with_name("trainci"))
    actions = {
        "python -c pass": measure.command(sys.executable, "-c", "pass"),
        "python -c 'import click'": measure.command(sys.executable, "-c", "import click"),
        "trainci --help": measure.command(script, "--help"),
        "trainci --version": measure.command(script, "--version"),
    }
    measure.interleaved(actions, 2)
    seconds = measure.interleaved(actions, ROUNDS)
    rows = measure.ratio_rows(seconds, "python -c pass")
    measure.record(
        "startup", "Start-up of the console script", rows, f"{ROUNDS} interleaved rounds after 2 to warm up."
    )


if __name__ == "__main__":
    main()
