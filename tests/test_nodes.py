"""Tests of several nodes: what they declare, virtual nodes on one host, and refusal where there are none."""

from __future__ import annotations

from functools import cache

import pytest

SHOWS = """
import os
from trainci.testing import exec_command
from trainci.testing.nodes import on_each_node
names = ("TRAINCI_NODE_RANK", "TRAINCI_NODES", "TRAINCI_DEVICES", "MASTER_ADDR")
exec_command(on_each_node(["sh", "-c", "echo shown " + " ".join(f"${name}" for name in names)]))
assert os.environ["MASTER_PORT"]
"""


def write(repository, body, **constants):
    lines = "".join(f"{name} = {value}\n" for name, value in constants.items())
    body = "".join(f"    {line}\n" for line in body.strip().splitlines())
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.write("tests/test_a.py", f"{lines}if __name__ == '__main__':\n{body}")


def run(repository, *arguments):
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    return repository.trainci("run", "short", *arguments, environment=locks)


def test_a_test_of_two_nodes_is_refused_on_one_host_with_the_ways_out(repository):
    write(repository, "print(1)", NUM_GPUS=4, NUM_NODES=2)
    said = run(repository, "--devices", "cpu:8")
    assert said.code == 3
    assert "needs 2 nodes of 4 devices, and this is one host. Run it with --executor slurm or ray" in said.out
    assert "--devices cpu:4 --nodes 2" in said.out


def test_virtual_nodes_each_have_their_share_of_the_devices_and_are_called_virtual(repository):
    write(repository, SHOWS, NUM_GPUS=2, NUM_NODES=2)
    said = run(repository, "--devices", "cpu:2", "--nodes", "2")
    assert said.code == 0, said.out
    shown = sorted(line.partition("shown ")[2] for line in said.out.splitlines() if " | shown " in line)
    assert shown == [
        "0 node-0,node-1 cpu-0,cpu-1 127.0.0.1",
        "1 node-0,node-1 cpu-2,cpu-3 127.0.0.1",
    ]
    assert "2 virtual devices on each of 2 virtual nodes of one host, no GPU" in said.out


def test_a_test_of_one_node_is_told_of_no_other(repository):
    write(repository, "import os\nprint(repr(os.environ['TRAINCI_NODES']))", NUM_GPUS=2)
    said = run(repository, "--devices", "cpu:2")
    assert "tests/test_a.py | ''" in said.out


def test_the_first_node_that_fails_ends_the_others_and_the_test(repository):
    body = """
from trainci.testing import exec_command
from trainci.testing.nodes import on_each_node
exec_command(on_each_node(["sh", "-c", "test $TRAINCI_NODE_RANK = 1 && exit 7; exec sleep 1000"]))
"""
    write(repository, body, NUM_GPUS=1, NUM_NODES=2)
    said = run(repository, "--devices", "cpu:1", "--nodes", "2")
    assert said.code == 1, said.out
    assert "exit code 7" in said.out


@pytest.mark.parametrize(("devices", "why"), [("auto", "this is one host"), ("cpu:100", "200 virtual devices")])
def test_virtual_nodes_are_of_virtual_devices_and_not_too_many(repository, devices, why):
    write(repository, "print(1)", NUM_GPUS=1)
    said = run(repository, "--devices", devices, "--nodes", "2")
    assert (said.code, why in said.err) == (2, True), said.err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("NUM_NODES = 0", "NUM_NODES is 0"), ("NUM_NODES = int(x)", "NUM_NODES must be a whole number")],
)
def test_a_number_of_nodes_that_is_none_is_told_with_its_line(repository, text, sentence):
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_a.py"]\n')
    repository.write("tests/test_a.py", f"NUM_GPUS = 1\n{text}\nif __name__ == '__main__':\n    print(1)\n")
    said = repository.trainci("check")
    assert f"tests/test_a.py:2: {sentence}" in said.out + said.err


@pytest.mark.parametrize("style", ["shell", "entry"])
def test_a_script_and_an_entry_may_say_it_too(repository, style):
    head = "# NUM_GPUS = 1\n# NUM_NODES = 2\n" if style == "shell" else ""
    entry = "" if style == "shell" else ", num_gpus = 1, num_nodes = 2"
    repository.write("trainci.toml", f'[suites.short]\ntests = [{{ path = "tests/a.sh"{entry} }}]\n')
    repository.write("tests/a.sh", f"{head}echo nodes $TRAINCI_NODES\n")
    said = run(repository, "--devices", "cpu:1", "--nodes", "2")
    assert (said.code, "nodes node-0,node-1" in said.out) == (0, True), said.out


TRAIN = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
x = torch.randn(64, 8)
y = x @ torch.arange(8.0) / 8
model = torch.nn.Linear(8, 1)
for _ in range(20):
    loss = ((model(x[rank::world]).squeeze() - y[rank::world]) ** 2).mean()
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
            parameter -= 0.05 * parameter.grad / world
total = loss.detach() / world
dist.all_reduce(total)
if rank == 0:
    print(f"loss of {world} ranks {total.item():.6f}", flush=True)
dist.destroy_process_group()
"""
EXECUTES = """
from trainci.testing import execute_train
execute_train("train.py", [], num_gpus_per_node=NUM_GPUS)
"""


def loss(said):
    assert said.code == 0, said.out
    return loss_in(said.out)


def loss_in(out):
    (line,) = (line for line in out.splitlines() if "loss of 4 ranks" in line)
    return line.rpartition(" ")[2]


@cache
def loss_of_one_node(new_repository):
    """What four ranks by gloo come to on one node: whatever trains on two of any kind is held to it."""
    repository = new_repository()
    repository.write("train.py", TRAIN)
    write(repository, EXECUTES, NUM_GPUS=4)
    return loss(run(repository, "--devices", "cpu:4"))
