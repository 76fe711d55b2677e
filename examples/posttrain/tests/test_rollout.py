"""The example's rollout engine on the tiny model, in this process."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from posttrain.arguments import BadArguments, Config
from posttrain.model import dtype_of, load_model
from posttrain.rollout.engine import RolloutEngine
from posttrain.sample import Sample
from posttrain.task import assets
from posttrain.task.tokenizer import EOS
from posttrain.training.grpo import token_log_probs
from tokenizers import Tokenizer

pytestmark = pytest.mark.slow  # transformers takes seconds to import

NUM_GPUS = 0
# Prompts of three lengths, so that two of them are padded.
PROMPTS = ["What is 1 + 2?", "1 + 2?", "What is What is 2 + 1?"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("assets") / "tiny"
    assets.ensure(directory)
    return directory


def engine_of(made: Path, **options: Any) -> RolloutEngine:
    config = Config(
        made / "model",
        made / "train.jsonl",
        made / "metrics.jsonl",
        **{"temperature": 0.7, "max_new_tokens": 6, **options},
    )
    return RolloutEngine(config, torch.device("cpu"))


def sampled(engine: RolloutEngine, prompts: list[str], count: int, seed: int) -> list[Sample]:
    """``count`` samples of each prompt."""
    samples = [Sample(group, 0, text, "#### 3") for group, text in enumerate(prompts) for _ in range(count)]
    engine.generate(samples, seed=seed)
    return samples


def tokens_of(samples: list[Sample]) -> list[list[int]]:
    return [sample.tokens for sample in samples]


def log_probs_of(samples: list[Sample]) -> list[Any]:
    return [sample.rollout_log_probs for sample in samples]


def test_assets_are_made_once_and_are_the_same_when_made_again(made: Path) -> None:
    files = {path.relative_to(made): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    written = (made / "stamp").stat().st_mtime_ns
    assets.ensure(made)
    assert (made / "stamp").stat().st_mtime_ns == written
    (made.parent / "other" / "stamp").parent.mkdir()
    (made.parent / "other" / "stamp").write_text("of older sources")
    assets.ensure(made.parent / "other")
    other = made.parent / "other"
    assert {p.relative_to(other): p.read_bytes() for p in other.rglob("*") if p.is_file()} == files


def test_the_checkpoint_is_one_that_transformers_loads(made: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    assert AutoConfig.from_pretrained(made / "model").architectures == ["Qwen2ForCausalLM"]
    ours = Tokenizer.from_file(str(made / "model" / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(made / "model")
    for text in ("What is 1 + 2?", "1 + 2 = 3\n#### 3"):
        assert theirs(text)["input_ids"] == ours.encode(text).ids
        assert theirs.decode(ours.encode(text).ids) == text
    assert theirs.eos_token == EOS


def test_a_teacher_knows_the_task(tmp_path: Path) -> None:
    assets.ensure(tmp_path / "teacher", supervised_steps=40)
    asked = sampled(engine_of(tmp_path / "teacher", temperature=0.1), PROMPTS[:1], 4, seed=1)
    assert {sample.response for sample in asked} == {"#### 3"}
    assert {sample.status for sample in asked} == {Sample.Status.COMPLETED}


@pytest.mark.parametrize("options", [{}, {"true_on_policy": True, "sequence_width": 24}])
def test_the_same_seed_gives_the_same_samples(made: Path, options: dict[str, Any]) -> None:
    engine = engine_of(made, **options)
    first, again, other = (sampled(engine, PROMPTS, 8, seed) for seed in (1, 1, 2))
    assert tokens_of(first) == tokens_of(again)
    assert log_probs_of(first) == log_probs_of(again)
    assert tokens_of(first) != tokens_of(other)


def test_every_bit_of_a_seed_counts(made: Path) -> None:
    """Later draws of a step differ by 2**40, the samples of a generate hook by 2**20."""
    engine = engine_of(made)
    found = [tokens_of(sampled(engine, PROMPTS, 8, seed=7 + more)) for more in (0, 1, 2**20, 2**31, 2**32, 2**40)]
    assert all(one != other for one, other in itertools.combinations(found, 2))


@pytest.mark.parametrize("options", [{}, {"true_on_policy": True, "sequence_width": 24}])
def test_log_probs_are_those_of_each_sample_alone(made: Path, options: dict[str, Any]) -> None:
    """Neither padding, nor the cache, nor the neighbours in the batch change them."""
    model = load_model(made / "model", torch.device("cpu"))
    ended = 0
    for sample in sampled(engine_of(made, **options), PROMPTS, 8, seed=3):
        length = sample.response_length
        ended += length < 6
        tokens = torch.tensor(sample.tokens)
        with torch.no_grad():
            logits = model(tokens.unsqueeze(0)).logits[0, -length - 1 : -1]
        alone = token_log_probs(logits, tokens[-length:], 0.7)
        torch.testing.assert_close(torch.tensor(sample.rollout_log_probs), alone, atol=1e-5, rtol=0)
    assert ended, "no sample ended early, so padding on the right was not tried"


def test_samples_follow_the_probabilities(made: Path) -> None:
    samples = sampled(engine_of(made, temperature=1.0), PROMPTS[:1], 4096, seed=4)
    first = [sample.tokens[-sample.response_length] for sample in samples]
    token = max(set(first), key=first.count)
    probability = math.exp(next(s.rollout_log_probs[0] for s, t in zip(samples, first, strict=True) if t == token))
    share = first.count(token) / len(first)
    deviation = (probability * (1 - probability) / 4096) ** 0.5
    assert abs(share - probability) < 5 * deviation


def test_experts_are_those_of_each_token_whichever_way_it_was_sampled(tmp_path: Path) -> None:
    assets.ensure(tmp_path / "experts", "qwen3-moe")
    whole = {"true_on_policy": True, "sequence_width": 24, "micro_batch_size": 5}
    engines = [engine_of(tmp_path / "experts", routing_replay=True, **options) for options in ({}, whole)]
    for one, other in zip(*(sampled(engine, PROMPTS, 2, seed=1) for engine in engines), strict=True):
        assert one.tokens == other.tokens
        assert one.routed_experts.shape[1] == len(one.tokens) - 1
        assert one.routed_experts.sort().values.equal(other.routed_experts.sort().values)


def test_true_on_policy_samples_in_the_shapes_that_training_has(made: Path) -> None:
    """To the last bit: another batch or width may be added up in another order."""
    options = {"true_on_policy": True, "sequence_width": 24, "micro_batch_size": 4, "max_new_tokens": 1}
    engine, shapes = engine_of(made, **options), []
    embedding = engine._model.get_input_embeddings()
    embedding.register_forward_hook(lambda _module, inputs, _output: shapes.append(list(inputs[0].shape)))
    sampled(engine, PROMPTS, 3, seed=1)
    assert shapes == [[4, 24], [4, 24], [1, 24]]


def test_assets_are_made_by_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "posttrain.task.assets", str(tmp_path / "tiny"), "--family", "qwen3"]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True)
    assert load_model(tmp_path / "tiny" / "model", torch.device("cpu")).config.model_type == "qwen3"


def test_a_run_in_bfloat16_samples_in_it(made: Path) -> None:
    """Its log-probabilities are off by what 8 bits of mantissa leave, and by no more."""
    model = load_model(made / "model", torch.device("cpu"))
    gaps = []
    for sample in sampled(engine_of(made, dtype="bfloat16", temperature=1.0), PROMPTS, 4, seed=3):
        tokens, length = torch.tensor(sample.tokens), sample.response_length
        with torch.no_grad():
            logits = model(tokens.unsqueeze(0)).logits[0, -length - 1 : -1]
        gaps.append(torch.tensor(sample.rollout_log_probs) - token_log_probs(logits, tokens[-length:], 1.0))
    assert 1e-4 < float(torch.cat(gaps).abs().mean()) < 0.03


def test_bfloat16_is_for_gpus(made: Path) -> None:
    config = engine_of(made)._config
    found = [dtype_of(config, torch.device(kind)) for kind in ("cpu", "cuda")]
    assert found == [torch.float32, torch.bfloat16]


def test_whole_sequences_must_fit_the_longest_prompt(made: Path) -> None:
    tokenizer = Tokenizer.from_file(str(made / "model" / "tokenizer.json"))
    needed = max(len(tokenizer.encode(prompt).ids) for prompt in PROMPTS) + 6
    assert sampled(engine_of(made, true_on_policy=True, sequence_width=needed), PROMPTS, 1, seed=1)
    with pytest.raises(BadArguments, match=f"--sequence-width {needed - 1} is too little"):
        sampled(engine_of(made, true_on_policy=True, sequence_width=needed - 1), PROMPTS, 1, seed=1)


def test_weights_wait_for_samples_that_are_being_drawn(made: Path) -> None:
    engine = engine_of(made)
    weights = {name: value.clone() for name, value in engine._model.named_parameters()}
    update = threading.Thread(target=engine.update_weights, args=(weights, 7))

    def update_meanwhile(*_: Any) -> None:
        if not update.ident:
            update.start()
        update.join(timeout=1)
        assert update.is_alive(), "the weights changed while samples were drawn by them"

    handle = engine._model.register_forward_hook(update_meanwhile)
    samples = sampled(engine, PROMPTS, 1, seed=1)
    handle.remove()
    update.join()
    assert {sample.weights_version for sample in samples} == {0}
    assert engine.version == 7


def test_new_weights_are_taken_over(made: Path) -> None:
    engine = engine_of(made)
    before = sampled(engine, PROMPTS, 8, seed=5)
    weights = {name: value * 1.5 for name, value in engine._model.named_parameters()}
    engine.update_weights(weights, version=7)
    after = sampled(engine, PROMPTS, 8, seed=5)
    assert (before[0].weights_version, after[0].weights_version) == (0, 7)
    assert log_probs_of(before) != log_probs_of(after)
    with pytest.raises(KeyError):
        engine.update_weights({}, version=8)


def test_true_on_policy_says_what_it_needs(made: Path) -> None:
    with pytest.raises(BadArguments, match="needs a --sequence-width"):
        engine_of(made, true_on_policy=True)
    with pytest.raises(BadArguments, match="--sequence-width 10 is too little"):
        sampled(engine_of(made, true_on_policy=True, sequence_width=10), PROMPTS, 1, seed=1)
