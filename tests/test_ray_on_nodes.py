"""execute_train over the nodes of a test, virtual ones and those of real engines: with Ray, and on a Ray."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from support import processes_with, running, wait_until
from test_nodes import EXECUTES, TRAIN, loss, loss_in, loss_of_one_node, run, write

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

ray.init(log_to_driver=False)
group = ray.util.placement_group([{"CPU": 2}] * 2, strategy="STRICT_SPREAD")
ray.get(group.ready())
places = [PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank // 2) for rank in range(4)]
ranks = [Rank.options(num_cpus=1, scheduling_strategy=place).remote() for place in places]
told = ray.get([rank.train.remote(number) for number, rank in enumerate(ranks)])
with open("trained.new", "w") as file:
    print("directory", os.path.dirname(os.environ["RAY_AUTH_TOKEN_PATH"]), file=file)
    nodes = {node for node, _, _ in told}
    print(len(nodes), "nodes of Ray, ranks", *sorted(rank for _, rank, _ in told), file=file)
    print(told[0][2], file=file)
os.rename("trained.new", "trained")
if os.path.exists("stay"):
    time.sleep(1000)
"""


@pytest.fixture
def project(repository, monkeypatch):
    """A test of two nodes, which starts Ray on both of them."""
    write(repository, RAY, NUM_GPUS=2, NUM_NODES=2)
    repository.write("train.py", TRAIN)
    repository.write("train_ray.py", TRAIN_RAY)
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(repository.root / "locks"))
    return repository


def assert_trained_on_two_nodes_of_which_nothing_is_left(project, new_repository):
    """By a file, as Ray shows what its job prints a while later."""
    said = (project.root / "trained").read_text()
    assert "2 nodes of Ray, ranks 0 0 1 1" in said, said
    assert loss_in(said) == loss_of_one_node(new_repository)
    directory = re.search(r"directory (/tmp/ray-\S+)", said)[1]
    wait_until(lambda: not processes_with(directory), "the end of every process of the cluster")
    return Path(directory)


def test_ray_on_two_nodes_trains_to_the_same_loss_as_torchrun_on_one(project, new_repository):
    said = run(project, "--devices", "cpu:2", "--nodes", "2")
    assert said.code == 0, said.out
    assert not assert_trained_on_two_nodes_of_which_nothing_is_left(project, new_repository).exists()


@pytest.mark.parametrize(("engine", "cluster"), [("slurm", "slurm_cluster"), ("ray", "ray_nodes")])
def test_a_run_on_an_engine_trains_to_it_too_and_interrupted_leaves_no_process_of_ray_on_any_node(
    project, new_repository, engine, cluster, request, monkeypatch
):
    cluster = request.getfixturevalue(cluster)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    if engine == "ray":
        config = project.root / "trainci.toml"
        config.write_text(f'[executors.ray]\naddress = "{cluster.address}"\n{config.read_text()}')
    project.write("stay")
    with running(project.root, ["run", "short", "--devices", "cpu:2", "--executor", engine]) as process:
        trained = project.root / "trained"
        wait_until(lambda: trained.exists() or process.poll() is not None, "the training", 900)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=300)
    assert (trained.exists(), process.returncode) == (True, 130), out
    assert_trained_on_two_nodes_of_which_nothing_is_left(project, new_repository)


# On virtual nodes and on those of Slurm: tests/test_slurm_fleet_page.py.
def test_torchrun_on_two_nodes_of_a_ray_trains_to_the_same_loss_as_on_one(
    repository, new_repository, ray_nodes, monkeypatch
):
    repository.write("train.py", TRAIN)
    write(repository, EXECUTES, NUM_GPUS=2, NUM_NODES=2)
    for name, value in ray_nodes.environment.items():
        monkeypatch.setenv(name, value)
    config = repository.root / "trainci.toml"
    config.write_text(f'[executors.ray]\naddress = "{ray_nodes.address}"\n{config.read_text()}')
    said = run(repository, "--devices", "cpu:2", "--executor", "ray")
    assert loss(said) == loss_of_one_node(new_repository)
