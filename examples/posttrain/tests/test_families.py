"""Each family is the same model in transformers and in Megatron-Core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from posttrain.arguments import BadArguments, Config
from posttrain.families import FAMILIES
from posttrain.task import assets

pytestmark = pytest.mark.slow

NUM_GPUS = 0
HERE = Path(__file__).parent
POSTTRAIN = HERE.parent


def written_by(probe: list[str], written: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    found = os.pathsep.join([str(POSTTRAIN), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": found, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *probe, str(written), *arguments], env=environment, check=True)
    return json.loads(written.read_text())


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return written_by([str(HERE / "_families_probe.py")], tmp_path_factory.mktemp("families") / "probes.json")


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    launch = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(HERE / "_layouts_probe.py"),
    ]
    return written_by(launch, tmp_path_factory.mktemp("layouts") / "gaps.json", *FAMILIES)


@pytest.mark.parametrize(
    ("family", "option", "other"),
    [
        ("qwen2.5", "hidden_act", "gelu"),
        ("qwen2.5", "use_sliding_window", True),
        ("qwen3", "use_sliding_window", True),
        ("moonlight", "q_lora_rank", 8),
        ("moonlight", "n_group", 2),
        ("moonlight", "norm_topk_prob", False),
        ("moonlight", "rope_interleave", False),
        ("moonlight", "attention_bias", True),
    ],
)
def test_an_option_that_megatron_would_leave_out_is_refused(family: str, option: str, other: object) -> None:
    from posttrain.backends.megatron.config import architecture

    config = FAMILIES[family].config(vocab_size=32, eos_token_id=1, bos_token_id=None)
    assert architecture(config)
    setattr(config, option, other)
    with pytest.raises(BadArguments, match=f"megatron: {option} is {other!r}, and only"):
        architecture(config)


def test_layers_with_experts_are_those_of_transformers() -> None:
    from posttrain.backends.megatron.config import architecture
    from transformers import AutoModelForCausalLM

    config = FAMILIES["qwen3-moe"].config(vocab_size=32, eos_token_id=1, bos_token_id=None)
    config.num_hidden_layers, config.decoder_sparse_step, config.mlp_only_layers = 12, 3, [5]
    layers = AutoModelForCausalLM.from_config(config).model.layers
    expected = [int(hasattr(layer.mlp, "experts")) for layer in layers]
    assert set(expected) == {0, 1}
    assert architecture(config)["moe_layer_freq"] == expected


@pytest.mark.parametrize(
    ("family", "layout", "said"),
    [
        ("qwen3", {"tensor": 2, "context": 4}, "4 ranks do not divide into copies of 2 tensor x 1 pipeline x 4"),
        ("qwen3", {"tensor": 2, "pipeline": 4}, "4 ranks do not divide into copies of 2 tensor x 4 pipeline x 1"),
        ("qwen2.5", {"tensor": 4}, "--tensor-parallel 4 does not divide the 2 key-value heads"),
        ("qwen2.5", {"pipeline": 4}, "--pipeline-parallel 4 does not divide the 2 layers"),
        ("qwen2.5", {"expert": 2}, "--expert-parallel 2 does not divide the 1 experts"),
        (
            "qwen3-moe",
            {"pipeline": 2, "expert": 4},
            "--expert-parallel 4 does not divide the 2 ranks of a pipeline",
        ),
        ("qwen3-moe", {"pipeline": 2, "expert": 2}, ""),
        ("qwen3", {"tensor": 2, "context": 2}, ""),
    ],
)
def test_a_layout_that_does_not_divide_is_a_sentence(family: str, layout: dict[str, int], said: str) -> None:
    from posttrain.backends.megatron.layout import check

    model = FAMILIES[family].config(vocab_size=32, eos_token_id=1, bos_token_id=None)
    config = Config(Path(), Path(), Path(), **{f"{axis}_parallel": size for axis, size in layout.items()})
    if said:
        with pytest.raises(BadArguments, match=said):
            check(config, model, world=4)
    else:
        check(config, model, world=4)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_come_back_bit_for_bit(probes: dict[str, dict[str, Any]], family: str) -> None:
    assert probes[family]["unreturned"] == []
    assert probes[family]["changed"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_of_megatron_is_covered_and_none_invented(
    probes: dict[str, dict[str, Any]], family: str
) -> None:
    assert probes[family]["uncovered"] == []
    assert probes[family]["invented"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_megatron_gives_the_logits_of_transformers(probes: dict[str, dict[str, Any]], family: str) -> None:
    assert probes[family]["logit_spread"] > 0.1, "logits this flat would hide a mistake"
    assert probes[family]["logit_gap"] < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_a_critic_gives_one_value_a_token(probes: dict[str, dict[str, Any]], family: str) -> None:
    assert probes[family]["values"] == [2, 12, 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layout_gives_the_gradients_of_transformers(gaps: dict[str, dict[str, float]], family: str) -> None:
    assert gaps[family], "no layout was tried"
    assert {layout: gap for layout, gap in gaps[family].items() if not gap < 1e-4} == {}


@pytest.mark.parametrize("layers", ["mtp", "mtp of two layers"])
def test_mtp_layers_alone_learn_from_their_loss(probes: dict[str, dict[str, Any]], layers: str) -> None:
    mtp = probes[layers]
    assert mtp["policy_moved"] == []
    assert mtp["untrained"] == []
    assert mtp["loss_gap"] < 1e-5


@pytest.mark.parametrize("module", ["norm", "attention"])
def test_a_module_computes_as_transformers_does_to_the_last_bit(
    probes: dict[str, dict[str, Any]], module: str
) -> None:
    """In bfloat16, where other arithmetic shows at once."""
    assert probes["bfloat16"][module]


def test_without_weights_there_is_no_mtp_loss(probes: dict[str, dict[str, Any]]) -> None:
    assert probes["mtp"]["loss_without_weights"] is None
    assert probes["mtp"]["trained_without_weights"] == []


def test_tokens_that_did_not_follow_the_rollout_are_counted_on_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from posttrain.backends.megatron import replay

    own = object.__new__(replay.ExpertReplay)  # no model: what it asked for, and where tokens went
    own._counts, own._asked = [0, 0], {0: torch.tensor([[0, 1], [0, 1], [3, 2]])}
    went = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]])
    own._count(0, None, None, (None, went.bool()))
    monkeypatch.setattr(replay, "gather", lambda counts: [counts, (0, 1)])
    assert own.followed() == 2 / 4
    assert own.followed() == 0, "tokens of passes before are counted again"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_checkpoint_of_each_family_loads(tmp_path: Path, family: str) -> None:
    import torch
    from posttrain.model import load_model

    assets.ensure(tmp_path / family, family)
    model = load_model(tmp_path / family / "model", torch.device("cpu"))
    assert model.config.model_type == FAMILIES[family].model_type
    logits = model(torch.tensor([[2, 3, 4]])).logits
    assert logits.std() > 0.1, "weights that were not loaded, or flat"
