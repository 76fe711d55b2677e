"""What the files of an event say: with what a job's changes are to be compared."""

from __future__ import annotations

import json

import pytest

from trainci.errors import UsageError
from trainci.github.payload import base, pull_request

BEFORE = "0123456789abcdef0123456789abcdef01234567"
ZEROS = "0" * 40


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("push", {"before": BEFORE}, BEFORE),
        ("push", {"before": ZEROS}, ""),
        ("push", {"before": "--output=x"}, ""),
        ("push", {"before": None}, ""),
        ("push", {}, ""),
        ("merge_group", {"merge_group": {"base_sha": BEFORE}}, BEFORE),
        ("merge_group", {"merge_group": None}, ""),
        ("schedule", {"before": BEFORE}, ""),
        ("workflow_dispatch", {"inputs": {"ref": "x"}}, ""),
    ],
)
def test_the_base_is_what_was_there_before_the_event(tmp_path, name, payload, expected):
    (tmp_path / "event.json").write_text(json.dumps(payload))
    environment = {"GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "GITHUB_EVENT_NAME": name}
    assert base({**environment, "GITHUB_BASE_REF": ""}) == expected


def test_a_pull_request_is_compared_with_its_own_base_branch(tmp_path):
    environment = {"GITHUB_BASE_REF": "release/1.0", "GITHUB_EVENT_NAME": "pull_request"}
    assert base(environment) == "origin/release/1.0"


def test_outside_a_job_nothing_says_what_the_base_is():
    assert base({}) == base({"GITHUB_EVENT_NAME": "push"}) == ""


def test_a_payload_that_cannot_be_read_is_no_reason_to_compare_with_something_else(tmp_path):
    with pytest.raises(UsageError, match=r"event\.json: No such file"):
        base({"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(tmp_path / "event.json")})


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, ""),
        ({"GITHUB_REPOSITORY": "org/repo", "GITHUB_REF": "refs/pull/123/merge"}, "org/repo#123"),
        ({"GITHUB_REPOSITORY": "org/repo", "GITHUB_REF": "refs/heads/pull/1/x"}, "org/repo"),
        ({"GITHUB_REF": "refs/pull/123/merge"}, ""),
        ({"GITHUB_REPOSITORY": "org/re\npo"}, "org/re\\npo"),
    ],
)
def test_a_job_knows_whose_it_is(variables, said):
    assert pull_request(variables) == said
