"""The rules for logs: each finds its own example, says where it comes from, and is told of in docs/verdicts.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.log_files import packaged_rules
from trainci.model.diagnosis import Blame, Kind, LogRule
from trainci.verdict.log_reader import triage_of
from trainci.verdict.log_rules import Matcher
from trainci.verdict.pattern_needs import loosened, needs_of, words_of

RULES = packaged_rules()
PAGE = (Path(__file__).parents[2] / "docs/verdicts.md").read_text()
MATCHER = Matcher(RULES)


def _fitting(line: str) -> list[str]:
    libraries = {"huggingface_hub"} if "httpx.ReadTimeout" in line else set()
    return [rule.name for rule, _ in MATCHER.matches(line, MATCHER.candidates(line), libraries)]


def test_the_first_rule_that_an_example_fits_is_its_own() -> None:
    fitting = {rule.name: _fitting(rule.example) for rule in RULES}
    assert not {name: found for name, found in fitting.items() if found[:1] != [name]}


def test_every_rule_says_what_it_means_and_what_prints_it() -> None:
    assert not [rule.name for rule in RULES if not rule.meaning or rule.meaning.endswith(".")]
    unknown = [rule.name for rule in RULES if not re.search(r"\d|Linux|gloo|NVML", rule.source)]
    assert not unknown, "a library and a version"


def test_names_are_one_each() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_page_has_a_row_for_each_rule_and_no_other() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (\w+) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert rows == [(rule.name, rule.blame.value, rule.kind.value, rule.meaning, rule.source) for rule in RULES]


@pytest.mark.parametrize(
    "line",
    [
        "step 12 loss 0.71 grad_norm 0.12 lr 1e-05",
        "INFO: Uvicorn running on http://0.0.0.0:30000 (Press CTRL+C to quit)",
        "loading infinite dataset of nanosecond traces from /dev/shm/cache",
        "Downloading shards: 100%|██████████| 4/4 [00:03<00:00, 1.21it/s]",
        "reward 429.0 at step 503",
        "all 28 tests passed, 0 failed, no error",
    ],
)
def test_an_ordinary_line_fits_no_rule(line: str) -> None:
    assert _fitting(line) == []


def test_every_pattern_has_words_that_most_lines_lack_or_each_line_would_be_searched_by_it() -> None:
    """One pattern without any had each line of a log read by itself: 65 s for 200 MB instead of 9."""
    assert [pattern for rule in RULES for pattern in rule.patterns if not words_of(needs_of(pattern))] == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("No space left", ("no space left",)),
        ("a|bcd", ()),
        ("abc|bcd", ("abc", "bcd")),
        ("x?abc+d*efg", ("abc",)),
        ("(?i)(?:abc|defg) \\d", ("abc", "defg")),
        ("(?:abc)?", ()),
        ("[abc]{3}", ()),
        ("abcd{0,3}", ("abc",)),
        (r"\bexit\.code\b", ("exit.code",)),
        ("x[EW]: +abcdef", ("abcdef",)),
        ("[EW]: (?:abc|50[0-2] )", ("e: ", "w: ")),
        ("[EW]: \\d+", ("e: ", "w: ")),
        ("[a-z]: \\d+", ()),
        ("(?:429|503) (?:abc|defg)", ("abc", "defg")),
    ],
)
def test_the_words_that_a_pattern_cannot_be_without(pattern: str, words: tuple[str, ...]) -> None:
    assert words_of(needs_of(pattern)) == words


@given(st.sampled_from([(pattern, rule) for rule in RULES for pattern in rule.patterns]), st.data())
def test_no_line_that_a_pattern_fits_is_ruled_out_by_its_words_or_its_shape(
    case: tuple[str, LogRule], data: st.DataObject
) -> None:
    pattern, rule = case
    line = data.draw(st.from_regex(pattern)).replace("\n", " ")
    if not re.search(pattern, line) or not line.isascii():
        return
    matcher = Matcher([LogRule(rule.name, (pattern,), rule.meaning, Blame.CODE, Kind.CAUSE)])
    assert [found.name for found, _ in matcher.matches(line, matcher.candidates(line))] == [rule.name]
    assert triage_of(matcher).found([line]) == {0: (0,)}


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        (r"^code 40[1-3]\b", "10:00 code 0", "code x"),
        (r"(?<!de)code \d{3} (?!ok)\w+", "decode 0 ok", "code 0: "),
        (r"\w+7: [^A-Z]z", "a0: bz", "a: bz"),
        (r"(?:\.\d{1,3}){3}:\d", "0.0.0.0:0", "0.0.0:0"),
        (r"x.{2}\w{3,5}[0-9a-f]y", "x0y", "x0"),
    ],
)
def test_a_shape_fits_a_pattern_whose_numbers_are_any(pattern: str, fits: str, fits_not: str) -> None:
    loose = loosened(pattern)
    assert loose and loose.search(fits) and not loose.search(fits_not)


def test_a_pattern_that_says_what_nobody_here_knows_is_ruled_out_by_no_shape() -> None:
    assert loosened(r"(a)\1") is loosened(r"\Aabc") is None
