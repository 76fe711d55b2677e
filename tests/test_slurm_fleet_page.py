"""docs/fleet.md is done as it says, on a real Slurm, and its tables say what is so."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from test_nodes import TRAIN, loss, loss_of_one_node

from trainci.config.executor_tables import SlurmTable

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/fleet.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_command_of_the_page_succeeds_and_two_nodes_train_to_the_same_loss_as_one(
    repository, slurm_cluster, new_repository
):
    (test,), (config, packed, _) = blocks("python"), blocks("toml")
    repository.write("tests/test_two_nodes.py", test)
    for name in "ab":
        repository.write(f"tests/test_quick_{name}.py", "NUM_GPUS = 2\nif __name__ == '__main__':\n    print()\n")
    repository.write("trainci.toml", config + packed)
    repository.write("train.py", TRAIN)
    environment = {"TRAINCI_LOCK_DIR": str(repository.root / "locks"), **slurm_cluster.environment}
    commands = re.findall(r"^\$ trainci (.+)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(commands) == 4
    said = [repository.trainci(*shlex.split(command), environment=environment) for command in commands]
    assert [one.code for one in said] == [0, 0, 0, 0], [one.out + one.err for one in said]
    assert "| #SBATCH --nodes=2" in said[0].out
    assert "1 passed" in said[1].out and "2 virtual nodes of one host" in said[1].out
    assert "1 passed" in said[2].out and "on each node of Slurm" in said[2].out
    assert loss(said[1]) == loss(said[2]) == loss_of_one_node(new_repository)
    assert "2|COMPLETED" in slurm_cluster("sacct", "-X", "-n", "-P", "-o", "NNodes,State").split()
    assert "2 passed" in said[3].out
    assert len(list(repository.root.glob(".trainci/runs/*/pack-quick-*.log"))) == 1


def test_the_page_names_every_key_of_the_table():
    assert all(re.search(rf"\b{name}\b", PAGE) for name in SlurmTable.model_fields)


@pytest.mark.slow
def test_the_suite_short_of_the_example_is_green_on_slurm(tmp_path, slurm_cluster, new_repository):
    """Real training, synchronous and asynchronous, on virtual devices of two nodes."""
    repository = new_repository()
    ignored = shutil.ignore_patterns(".trainci", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "examples/posttrain", repository.root, dirs_exist_ok=True, ignore=ignored)
    environment = {
        "PATH": os.environ["PATH"],
        "TRAINCI_LOCK_DIR": str(tmp_path / "locks"),
        **slurm_cluster.environment,
    }
    words = ("run", "run-ci-short", "--executor", "slurm", "--devices", "cpu:8")
    said = repository.trainci(*words, environment=environment)
    assert said.code == 0, said.out[-4000:]
    assert "2 passed" in said.out
