"""The example's pictures: the layout of patches, positions, and what a policy sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from posttrain.arguments import BadArguments, Config
from posttrain.model import load_model
from posttrain.rollout.engine import RolloutEngine
from posttrain.sample import Sample
from posttrain.task import assets
from posttrain.task.problems import read_problems
from posttrain.training.grpo import token_log_probs
from posttrain.vision import answer_in_text, model_inputs, patchify, picture_tokens

pytestmark = pytest.mark.slow  # transformers takes seconds to import

NUM_GPUS = 0
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("assets") / "tiny"
    assets.ensure(directory, "qwen2.5-vl")
    return directory


def sampled(made: Path, **options: Any) -> list[Sample]:
    """Ten samples of ten pictures, under prompts of two lengths."""
    config = Config(made / "model", made / "train.jsonl", made / "metrics.jsonl", max_new_tokens=12, **options)
    problems = read_problems(made / "train.jsonl")[:10]
    questions = ["How many?", "How many? How many?"]
    samples = [Sample(n, n, questions[n % 2], problem.answer, problem.image) for n, problem in enumerate(problems)]
    RolloutEngine(config, CPU).generate(samples, seed=1)
    return samples


def test_patches_are_laid_out_as_qwen2_vl_does() -> None:
    """Written out place by place for a picture of 2 × 3 squares of 2 × 2 patches, each of 2 × 2 pixels."""
    patch, merge, frames = 2, 2, 2
    picture = torch.randint(0, 256, (8, 12, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    rows = []
    for top in range(0, 8, patch * merge):
        for left in range(0, 12, patch * merge):
            for y in range(top, top + patch * merge, patch):
                for x in range(left, left + patch * merge, patch):
                    inside = picture[y : y + patch, x : x + patch].float() / 255
                    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
                    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711])
                    colours = ((inside - mean) / deviation).permute(2, 0, 1)
                    rows.append(torch.cat([colour.flatten() for colour in colours for _ in range(frames)]))
    torch.testing.assert_close(patchify(picture, patch=patch, merge=merge, frames=frames), torch.stack(rows))


@pytest.mark.parametrize("options", [{}, {"true_on_policy": True, "sequence_width": 32, "micro_batch_size": 4}])
def test_log_probs_are_those_of_each_sample_alone_with_its_picture(made: Path, options: dict[str, Any]) -> None:
    """Neither padding, nor the cache, nor the neighbours' pictures change them."""
    model = load_model(made / "model", CPU)
    answer_in_text(model)
    for sample in sampled(made, **options):
        tokens = torch.tensor([sample.tokens])
        log_probs = []
        for picture in (sample.image, f"{made}/pictures/{sample.index + 1}.npy"):
            with torch.no_grad():
                logits = model(tokens, use_cache=False, **model_inputs(model, tokens, [picture])).logits[0]
            response = tokens[0, -sample.response_length :]
            log_probs.append(token_log_probs(logits[-sample.response_length - 1 : -1], response, 1.0))
        own, other = log_probs
        torch.testing.assert_close(torch.tensor(sample.rollout_log_probs), own, atol=1e-5, rtol=0)
        assert (own - other).abs().max() > 1e-3, "another picture gives the same log-probabilities"


def test_positions_of_a_picture_are_rows_and_columns(made: Path) -> None:
    model = load_model(made / "model", CPU)
    path = f"{made}/pictures/0.npy"
    tokens = torch.tensor([[*picture_tokens(model.config, path), 5, 6]])
    positions = model_inputs(model, tokens, [path])["position_ids"]
    # Start, four tokens of the picture, end, two of text, which go on after the largest position.
    assert positions[:, 0].tolist() == [
        [0, 1, 1, 1, 1, 3, 4, 5],
        [0, 1, 1, 2, 2, 3, 4, 5],
        [0, 1, 2, 1, 2, 3, 4, 5],
    ]


def test_a_picture_may_be_wider_than_high(made: Path, tmp_path: Path) -> None:
    model = load_model(made / "model", CPU)
    path = str(tmp_path / "wide.npy")
    np.save(path, np.zeros((28, 84, 3), dtype=np.uint8))
    tokens = torch.tensor([[*picture_tokens(model.config, path), 5]])
    positions = model_inputs(model, tokens, [path])["position_ids"]
    assert positions[:, 0].tolist() == [[0, 1, 1, 1, 4, 5], [0, 1, 1, 1, 4, 5], [0, 1, 2, 3, 4, 5]]


def test_no_answer_holds_a_token_that_stands_for_a_picture(made: Path) -> None:
    """The tiny model would sample one in a few; without its picture, training could not read it."""
    config = load_model(made / "model", CPU).config
    for sample in sampled(made, temperature=10.0):
        assert config.image_token_id not in sample.tokens[-sample.response_length :]
        assert sample.tokens.count(config.image_token_id) == 4


@pytest.mark.parametrize("shape", [(28, 28), (28, 30, 3), (30, 28, 3), (28, 28, 4)])
def test_a_picture_of_a_wrong_size_is_named(made: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "wrong.npy"
    np.save(path, np.zeros(shape, dtype=np.uint8))
    with pytest.raises(BadArguments, match=r"wrong\.npy is \(.*multiples of 28 pixels"):
        picture_tokens(load_model(made / "model", CPU).config, str(path))


def test_a_picture_that_is_no_array_is_named(made: Path) -> None:
    with pytest.raises(BadArguments, match=r"cannot read the picture .*missing\.npy"):
        picture_tokens(load_model(made / "model", CPU).config, str(made / "missing.npy"))
