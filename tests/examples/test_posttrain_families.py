"""Each family is the same model in transformers and in Megatron-Core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from posttrain.families import FAMILIES

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
POSTTRAIN = HERE.parents[1] / "examples" / "posttrain"


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    written = tmp_path_factory.mktemp("families") / "probes.json"
    environment = {**os.environ, "PYTHONPATH": str(POSTTRAIN), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, HERE / "families_probe.py", written], env=environment, check=True)
    return json.loads(written.read_text())


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
