"""`trainci contracts`, outside any repository."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def hooks(repository) -> Iterator[None]:
    """A directory that is neither a git repository nor has a trainci.toml, with hooks in it."""
    repository.write(
        "my_pkg/rollout.py",
        "async def score(args, sample):\n    return args.scale\n"
        "async def short(args, samples):\n    return []\n"
        "def keep(args, samples):\n    return True\n",
    )
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_pkg"]:
        del sys.modules[name]


def test_several_hooks_get_a_verdict_each(repository) -> None:
    said = repository.trainci(
        "contracts", "check", "--custom-rm-path", "my_pkg.rollout.score", "--set", "scale=0.5",
        "--dynamic-sampling-filter-path", "my_pkg.rollout.keep",
    )  # fmt: skip
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "passed  --custom-rm-path my_pkg.rollout.score\n"
        "passed  --dynamic-sampling-filter-path my_pkg.rollout.keep\n"
        "2 of 2 hooks passed.\n"
    )


def test_a_broken_contract_is_exit_1_with_what_was_expected_and_what_came(repository) -> None:
    said = repository.trainci("contracts", "check", "--custom-rm-path", "my_pkg.rollout.short", "--group-rm")
    assert (said.code, said.err) == (1, "")
    *lines, sample, count = said.out.splitlines()
    assert lines == [
        "failed  --custom-rm-path my_pkg.rollout.short",
        "          gave 0, not 4 rewards, one a sample",
        "          expected: async (args, samples) -> a list of numbers, one a sample",
        "          came:     async (args, samples)",
    ]
    assert sample.startswith(
        "          sample:   [Sample(index=0, prompt='What is 1 + 0?', tokens=[1, 2, 3, 5, 6], "
    )
    assert sample.count("Sample(") == 4
    assert count == "0 of 1 hooks passed."


def test_a_module_that_is_missing_is_exit_1(repository) -> None:
    said = repository.trainci("contracts", "check", "--custom-rm-path", "my_pkg.rewards.score")
    assert said.code == 1
    assert f"there is no module 'my_pkg.rewards'; looked in {repository.root}" in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a hook"),
        (["--custom-reward-path", "a.b"], "No such option"),
        (["--custom-rm-path", "my_pkg.rollout.keep", "--set", "=3"], "write NAME=VALUE"),
    ],
)
def test_a_wrong_command_is_exit_2(repository, arguments: list[str], told: str) -> None:
    said = repository.trainci("contracts", "check", *arguments)
    assert said.code == 2
    assert told in said.err


def test_list_shows_every_signature(repository) -> None:
    said = repository.trainci("contracts", "list")
    assert said.code == 0
    assert "--custom-rm-path --group-rm\n    async (args, samples) -> a list of numbers, one a sample\n" in said.out
    assert said.out.count("\n--") == 20
