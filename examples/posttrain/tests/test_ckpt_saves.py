"""What is written to the disk and read again: checkpoints, places in the data, rollouts."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from posttrain import checkpoint
from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Replica
from posttrain.rollout import saved
from posttrain.sample import Rollout, Sample
from posttrain.task import assets
from posttrain.task.data_source import DataSource
from posttrain.task.problems import all_problems, write_problems

NUM_GPUS = 0
POSTTRAIN = Path(__file__).parents[1]
LARGEST_FILE = 100_000
"""Bytes: less than the weights, more than all else that a run writes."""


def test_a_place_that_other_replicas_load_is_that_of_the_furthest(tmp_path):
    def source(rank, world):
        args = SimpleNamespace(rank=rank, world_size=world, data_path=data, rollout_id=1, seed=0)
        args.n_samples_per_prompt, args.buffer_filter_path = 1, "posttrain.hooks.pop_first"
        args.save = args.load = tmp_path
        return DataSource(args)

    data = tmp_path / "train.jsonl"
    write_problems(data, list(all_problems()))
    for rank, draws in ((0, 1), (1, 3)):
        behind = source(rank, world=2)
        for _ in range(draws):
            drawn = behind.get_samples(8)
        behind.save(1)
    furthest = drawn[-1][0].group_index
    same = source(0, world=2)
    same.load(1)
    assert same.get_samples(1)[0][0].group_index == 16, "a replica goes on from another's place"
    loaded = source(0, world=1)
    loaded.load(1)
    ((next_one,),) = loaded.get_samples(1)
    assert next_one.group_index == furthest + 1, f"group {next_one.group_index} comes after group {furthest}"


def test_a_checkpoint_that_is_gone_is_no_fresh_start(tmp_path):
    assert checkpoint.newest(tmp_path) is None
    (tmp_path / "latest").write_text("step_000004\n")
    with pytest.raises(BadArguments, match="names step_000004, which is gone"):
        checkpoint.newest(tmp_path)


def test_a_run_does_not_save_over_a_later_one(tmp_path):
    config = Config(Path(), Path(), Path(), save=tmp_path)
    place = SimpleNamespace(replica=Replica(0, 1, group=None, leader=0))
    (tmp_path / "step_000004").mkdir()
    (tmp_path / "latest").write_text("step_000004\n")
    checkpoint.Checkpoints(config, {}, place, checkpoint.Start(4))
    with pytest.raises(BadArguments, match="holds step_000004 already, and this run begins after step 3"):
        checkpoint.Checkpoints(config, {}, place, checkpoint.Start(3))


@pytest.fixture
def one_rank():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


class Model:
    """Notes what it is asked for."""

    def __init__(self):
        self.asked, self.waited_for = [], 0

    def save(self, directory, *, asynchronous):
        assert directory.is_dir()
        self.asked.append(asynchronous)

    def finish_save(self):
        self.waited_for += 1


class Nowhere:
    """A place in the data of which there is nothing to say."""

    replica = Replica(0, 1, group=None, leader=0)

    def save(self, directory, step):
        pass

    def load(self, directory, step):
        pass


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_save_that_goes_on_is_waited_for_when_it_must_be_and_named_then(tmp_path, one_rank, asynchronous):
    config = Config(Path(), Path(), Path(), save=tmp_path, async_save=asynchronous)
    models = {"policy": Model(), "critic": Model()}
    checkpoints = checkpoint.Checkpoints(config, models, Nowhere(), checkpoint.Start())
    for step in (1, 2, 3):
        checkpoints.save(step, None)
        done = step - asynchronous
        newest = checkpoint.newest(tmp_path)
        assert newest == (tmp_path / f"step_{done:06}" if done else None)
        assert [model.waited_for for model in models.values()] == [done, done]
    checkpoints.finish()
    assert checkpoint.newest(tmp_path) == tmp_path / "step_000003"
    assert [model.asked for model in models.values()] == [[asynchronous] * 3] * 2


def test_chance_goes_on_where_it_was_saved_also_between_two_normal_numbers(tmp_path, one_rank):
    def draw():
        return [random.gauss(0, 1), float(np.random.standard_normal()), float(torch.randn(()))]

    draw()  # each makes two normal numbers at a time, and keeps the second
    config = Config(Path(), Path(), Path(), save=tmp_path, load=tmp_path)
    checkpoint.Checkpoints(config, {}, Nowhere(), checkpoint.Start()).save(1, None)
    expected = [draw() for _ in range(3)]
    checkpoint.load(config, {}, Nowhere())
    assert [draw() for _ in range(3)] == expected


def test_a_rollout_comes_back_as_it_was_saved(tmp_path):
    samples = [
        Sample(
            group_index=number,
            index=number,
            prompt="1 + 1?",
            label="#### 2",
            image="there.npy",
            tokens=[1, 2, 3],
            response="#### 2",
            response_length=2,
            loss_mask=[1, 0],
            rollout_log_probs=[-1.0, -2.0],
            teacher_log_probs=[-3.0, -4.0],
            weights_version=5,
            status=status,
            reward=0.5,
            remove_sample=bool(number),
            metadata={"attempts": 2},
        )
        for number, status in enumerate(Sample.Status)
    ]
    samples[0].routed_experts = torch.ones(1, 2, 3)
    rollout = Rollout(samples, {"told": 1.0}, 2.5)
    for index in (0, 1):
        saved.write(tmp_path / "rollouts", 3, Replica(index, 2, group=None, leader=index), rollout)
    found = saved.read(tmp_path / "rollouts", 3, Replica(1, 2, group=None, leader=1))
    assert torch.equal(found.samples[0].routed_experts, samples[0].routed_experts)
    found.samples[0].routed_experts = samples[0].routed_experts
    assert found == rollout


@pytest.mark.parametrize("backend", ["fsdp", "megatron"])
def test_a_save_that_fails_while_training_goes_on_ends_the_run_and_is_not_the_newest(
    tmp_path: Path, backend: str
) -> None:
    """No file may be as large as the weights."""
    made, saved, metrics = tmp_path / "made", tmp_path / "saved", tmp_path / "metrics.jsonl"
    assets.ensure(made)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", "train.py"]
    data = ["--model-path", f"{made}/model", "--data-path", f"{made}/train.jsonl", "--metrics-path", str(metrics)]
    run = ["--num-steps", "2", "--save", str(saved), "--async-save", "--backend", backend]
    ended = subprocess.run(
        [sys.executable, *launch, *data, *run],
        cwd=POSTTRAIN,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE)),
    )
    assert ended.returncode != 0, "a save failed, and the run says that all is well"
    assert not (saved / "latest").exists(), "a save that failed is named as the newest"
