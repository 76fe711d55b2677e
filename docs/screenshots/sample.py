"""A repository with one test of each kind, and real commands in it: for pictures and the looks in the README."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

TRAINCI = str(Path(sys.executable).with_name("trainci"))
LOSS = """
def policy_loss(step):
    loss = float("nan")
    if loss != loss:
        raise ValueError(f"the loss is {loss} at step {step}")
"""
# A test that says this in its own words plays it.
DEVICE = """
def to_device():
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
"""
TESTS = {
    "tests/test_grpo_short.py": """
from trainci.testing import record_metric
for step in range(3):
    print("step", step, "loss", 0.7)
    time.sleep(float(os.environ.get("STEP_SECONDS", "0.4")))
record_metric("train/grad_norm", 2.5 + (time.time_ns() // 1000) % 100 / 200)
""",
    "tests/test_ckpt.py": """
for step in range(3):
    print("step", step, "loss", 0.6)
    time.sleep(float(os.environ.get("STEP_SECONDS", "0.7")))
""",
    "tests/test_policy_loss.py": """
print("step 1 loss 0.71")
from lib.loss import policy_loss
policy_loss(2)
""",
    "tests/test_reward.py": """
got, wanted = 0.31, 0.35
assert got == wanted, f"reward {got}, wanted {wanted}"
""",
    "tests/test_slow.py": """
print("waits for a server", flush=True)
time.sleep(60)
""",
    "tests/test_host.py": """
from lib.device import to_device
to_device()
""",
    "tests/test_flaky.py": """
p = pathlib.Path("x")
first = not p.exists()
p.touch()
assert not first, "a race"
""",
}
CONFIG = """
[project]
python = "python"
[suites.short]
description = "one red test of each kind"
tests = [
  "tests/test_grpo_short.py", "tests/test_ckpt.py", "tests/test_policy_loss.py", "tests/test_reward.py",
  { path = "tests/test_slow.py", timeout_minutes = 0.03 }, "tests/test_host.py",
  { path = "tests/test_flaky.py", retries = 1 },
]
[suites.ckpt]
tests = ["tests/test_ckpt.py"]
"""
HEAD = "import os, pathlib, sys, time\nNUM_GPUS = 2\nsys.path.insert(0, '.')\n\ndef execute():\n"


def made(root: Path) -> Path:
    """The repository, new, in ``root``."""
    (root / "tests").mkdir(parents=True)
    (root / "lib").mkdir()
    (root / "lib/loss.py").write_text(LOSS)
    (root / "lib/device.py").write_text(DEVICE)
    (root / "trainci.toml").write_text(CONFIG)
    for name, body in TESTS.items():
        lines = textwrap.indent(body.strip("\n"), "    ")
        (root / name).write_text(f"{HEAD}{lines}\n\nif __name__ == '__main__':\n    execute()\n")
    git(root, "init", "-q", "-b", "main")
    commit(root)
    return root


def commit(root: Path) -> None:
    """What is there now, as a commit."""
    git(root, "add", ".")
    git(root, "commit", "-q", "--allow-empty", "-m", "tests")


def git(root: Path, *words: str) -> None:
    """A command of git's, by an author who is nobody."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *words], cwd=root, check=True)


def environment(root: Path, **others: str) -> dict[str, str]:
    """That of a command in the repository, which no job and no host is around."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "TRAINCI_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "TRAINCI_LOCK_DIR": str(root.parent / "locks"), **others}


def said(root: Path, *words: str, **others: str) -> str:
    """What ``trainci`` prints, its errors too, with the root called as if it were yours."""
    done = subprocess.run(
        [TRAINCI, *words],
        cwd=root,
        env=environment(root, **others),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.replace(str(root), "/home/you/repo")
