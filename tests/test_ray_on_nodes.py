"""execute_train(launcher="ray") over the nodes of a test: virtual ones, and those of real engines."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from support import processes_with, running, wait_until
from test_nodes import EXECUTES, TRAIN, loss, run, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

RAY = """
from trainci.testing import execute_train, main
train = lambda: execute_train("train_ray.py", [], num_gpus_per_node=NUM_GPUS, launcher="ray")
main(lambda: None, train)
"""
# Two ranks on each of two nodes of the cluster.
TRAIN_RAY = """
import contextlib, io, os, sys, time
import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

@ray.remote
class Rank:
    def train(self, rank):
        os.environ.update(RANK=str(rank), WORLD_SIZE="4")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(open("train.py").read(), {})
        return ray.get_runtime_context().get_node_id(), os.environ["TRAINCI_NODE_RANK"], said.getvalue()

print("directory", os.path.dirname(os.environ["RAY_AUTH_TOKEN_PATH"]), flush=True)
ray.init(log_to_driver=False)
group = ray.util.placement_group([{"CPU": 2}] * 2, strategy="STRICT_SPREAD")
ray.get(group.ready())
places = [PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank // 2) for rank in range(4)]
ranks = [Rank.options(num_cpus=1, scheduling_strategy=place).remote() for place in places]
told = ray.get([rank.train.remote(number) for number, rank in enumerate(ranks)])
print(len({node for node, _, _ in told}), "nodes of Ray, ranks", *sorted(rank for _, rank, _ in told), flush=True)
print(told[0][2], flush=True)
if os.path.exists("stay"):
    open("trained", "w").close()
    time.sleep(1000)
"""
VIRTUAL = ("--devices", "cpu:2", "--nodes", "2")
WORDS = {
    "virtual": VIRTUAL,
    "slurm": ("--devices", "cpu:2", "--executor", "slurm"),
    "ray": ("--devices", "cpu:2", "--executor", "ray"),
}


@pytest.fixture(params=WORDS)
def words(request, repository, monkeypatch):
    """What runs the test of two nodes there, which starts Ray on both of them."""
    write(repository, RAY, NUM_GPUS=2, NUM_NODES=2)
    repository.write("train.py", TRAIN)
    repository.write("train_ray.py", TRAIN_RAY)
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(repository.root / "locks"))
    if request.param != "virtual":
        cluster = request.getfixturevalue({"slurm": "slurm_cluster", "ray": "ray_nodes"}[request.param])
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        if request.param == "ray":
            config = repository.root / "trainci.toml"
            config.write_text(f'[executors.ray]\naddress = "{cluster.address}"\n{config.read_text()}')
    return WORDS[request.param]


def assert_no_process_is_left(said):
    directory = re.search(r"directory (/tmp/ray-\S+)", said)[1]
    wait_until(lambda: not processes_with(directory), "the end of every process of the cluster")
    return Path(directory)


def test_ray_on_two_nodes_trains_to_the_same_loss_as_torchrun_on_one(repository, words):
    said = run(repository, *words)
    assert "2 nodes of Ray, ranks 0 0 1 1" in said.out, said.out
    assert not assert_no_process_is_left(said.out).exists()
    write(repository, EXECUTES, NUM_GPUS=4)
    assert loss(said) == loss(run(repository, "--executor", "local", "--devices", "cpu:4"))


def test_an_interrupted_run_leaves_no_process_of_ray_on_any_node(repository, words):
    repository.write("stay")
    with running(repository.root, ["run", "short", *words]) as process:
        trained = repository.root / "trained"
        wait_until(lambda: trained.exists() or process.poll() is not None, "the training", 300)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert (trained.exists(), process.returncode) == (True, 130), out
    assert_no_process_is_left(out)
