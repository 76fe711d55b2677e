"""Each layer's error texts, all of them, in the words of each program that reports them: whose fault each is.

A file of tests/cases/verdict_texts is a layer: ``forms`` with places for its ``columns``, and ``rows`` of which the
first column is the blame. Every form is filled in with every row.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainci.log_files import packaged_rules
from trainci.model.diagnosis import Facts
from trainci.verdict.diagnose import diagnose
from trainci.verdict.log_reader import LogReader

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LAYERS = sorted((Path(__file__).parents[1] / "cases/verdict_texts").glob("*.toml"))


def _texts(layer: Path) -> Iterator[tuple[str, str]]:
    document = tomllib.loads(layer.read_text())
    for form in document["forms"]:
        for row in document["rows"]:
            values = dict(zip(document["columns"], row, strict=True))
            yield form.format(**values), values["blame"]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.stem)
def test_every_text_of_a_layer_is_called_whose_it_is(layer: Path) -> None:
    wrong = []
    for text, blame in _texts(layer):
        reader = LogReader(packaged_rules())
        reader.feed(text.split("\n"))
        said = diagnose(reader.finish(), Facts(exit_code=1))
        if said.blame.value != blame:
            wrong.append((text, blame, said.blame.value, said.rule))
    assert not wrong


def test_there_are_as_many_texts_as_were_promised() -> None:
    assert sum(1 for layer in LAYERS for _ in _texts(layer)) >= 1500
