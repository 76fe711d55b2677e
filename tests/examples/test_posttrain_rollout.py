"""The example's rollout engine on the tiny model, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from posttrain import assets
from posttrain.grpo import token_log_probs
from posttrain.sample import Sample
from posttrain.tokenizer import EOS
from tokenizers import Tokenizer

pytestmark = pytest.mark.slow  # transformers takes seconds to import

# Prompts of three lengths, so that two of them are padded.
PROMPTS = ["What is 1 + 2?", "1 + 2?", "What is What is 2 + 1?"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("assets") / "tiny"
    assets.ensure(directory)
    return directory


def engine_of(made: Path, temperature: float = 0.7):  # type: ignore[no-untyped-def]
    from posttrain.rollout import RolloutEngine

    return RolloutEngine(made / "model", temperature=temperature, max_new_tokens=6, device=torch.device("cpu"))


def sampled(engine, prompts: list[str], count: int, seed: int):  # type: ignore[no-untyped-def]
    """``count`` samples of each prompt, as the tensors that training gets."""
    from posttrain.rollout import pack

    samples = [
        Sample(group, 0, text, "#### 3", reward=0.0) for group, text in enumerate(prompts) for _ in range(count)
    ]
    engine.generate(samples, seed=seed)
    return pack(samples, pad=engine.pad, version=engine.version, device=torch.device("cpu"))


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


def test_the_same_seed_gives_the_same_samples(made: Path) -> None:
    engine = engine_of(made)
    first, again, other = (sampled(engine, PROMPTS, 8, seed) for seed in (1, 1, 2))
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.log_probs, again.log_probs)
    assert not torch.equal(first.tokens, other.tokens)


def test_log_probs_are_those_of_each_sample_alone(made: Path) -> None:
    """Neither padding, nor the cache, nor the neighbours in the batch change them."""
    from posttrain.model import load_model

    rollout = sampled(engine_of(made), PROMPTS, 8, seed=3)
    model = load_model(made / "model", torch.device("cpu"))
    ended = 0
    for row in range(len(rollout.tokens)):
        length = int(rollout.completion_mask[row].sum())
        ended += length < rollout.completion_mask.shape[1]
        real = rollout.tokens[row][rollout.attention_mask[row].bool()]
        with torch.no_grad():
            logits = model(real.unsqueeze(0)).logits[0, -length - 1 : -1]
        alone = token_log_probs(logits, real[-length:], 0.7)
        torch.testing.assert_close(rollout.log_probs[row, :length], alone, atol=1e-5, rtol=0)
        assert rollout.log_probs[row, length:].abs().sum() == 0
    assert ended, "no sample ended early, so padding on the right was not tried"


def test_samples_follow_the_probabilities(made: Path) -> None:
    rollout = sampled(engine_of(made, temperature=1.0), PROMPTS[:1], 4096, seed=4)
    first, log_prob = rollout.completions[:, 0], rollout.log_probs[:, 0]
    token = int(first.mode().values)
    probability = float(log_prob[first == token][0].exp())
    share = float((first == token).float().mean())
    deviation = (probability * (1 - probability) / 4096) ** 0.5
    assert abs(share - probability) < 5 * deviation


def test_new_weights_are_taken_over(made: Path) -> None:
    engine = engine_of(made)
    before = sampled(engine, PROMPTS, 8, seed=5)
    weights = {name: value * 1.5 for name, value in engine._model.named_parameters()}
    engine.update_weights(weights, version=7)
    after = sampled(engine, PROMPTS, 8, seed=5)
    assert (before.weights_version, after.weights_version) == (0, 7)
    assert not torch.equal(before.log_probs, after.log_probs)
    with pytest.raises(KeyError):
        engine.update_weights({}, version=8)
