"""Selection in a large repository of 10,000 test files, as a ratio to `git status`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import measure

FILES, CHANGED, ROUNDS = 10_000, 500, 5
TEST = """import _shared
import lib.first

NUM_GPUS = {gpus}


def execute():
    pass


if __name__ == "__main__":
    execute()
"""


def main() -> None:
    script = str(Path(sys.executable).with_name("trainci"))
    changed = (script, "run", "--changed", "--dry-run")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        build(root)
        actions = {
            "git status": measure.command("git", "status", "--porcelain", cwd=root),
            "trainci list": measure.command(script, "list", cwd=root),
            "500 changed tests": measure.command(*changed, "--base", "module", cwd=root),
            "a changed module that every test reaches": measure.command(
                *changed, "--base", "origin/main", cwd=root
            ),
        }
        measure.interleaved(actions, 1)
        seconds = measure.interleaved(actions, ROUNDS)
    rows = measure.ratio_rows(seconds, "git status")
    notes = (
        f"{FILES} test files in {FILES // 100} directories, "
        f"by `trainci run --changed --dry-run`; {ROUNDS} interleaved rounds after 1."
    )
    measure.record("selection", "Selection in a large repository", rows, notes)


def build(root: Path) -> None:
    """A repository whose HEAD differs in CHANGED test files from ``module``, and that in one module from main."""
    for number in range(FILES):
        file = root / "tests" / f"area{number // 100:03d}" / f"test_{number:05d}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEST.format(gpus=2 ** (number % 4)))
    (root / "tests/area000/_shared.py").write_text("VALUE = 1\n")
    (root / "lib").mkdir()
    (root / "lib/first.py").write_text("from lib import second\n")
    (root / "lib/second.py").write_text("VALUE = 1\n")
    (root / "trainci.toml").write_text('[project]\ntests = ["tests/*/test_*.py"]\n')
    git(root, "init", "-q", "-b", "main")
    commit(root)
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    (root / "lib/second.py").write_text("VALUE = 2\n")
    commit(root)
    git(root, "tag", "module")
    for number in range(0, FILES, FILES // CHANGED):
        with (root / "tests" / f"area{number // 100:03d}" / f"test_{number:05d}.py").open("a") as file:
            file.write("# changed\n")
    commit(root)


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "files")


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True)


if __name__ == "__main__":
    main()
