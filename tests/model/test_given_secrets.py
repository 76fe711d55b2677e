"""A secret that stands in an entry's own words or variables is known by its name or its look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.model.given_secrets import given_secrets, is_secret_name, secrets_inside
from trainci.model.tests import Entry

SECRET = {
    "an option": ["--hf-token", "x7Qp21aa"],
    "an option with =": ["--wandb-api-key=x7Qp21aa"],
    "an option of another style": ["--hfToken", "x7Qp21aa"],
    "a setting": ["trainer.wandb.api_key=x7Qp21aa"],
    "a setting that is added": ["++hub.token=x7Qp21aa"],
    "a password": ["--db-password", "x7Qp21aa"],
    "in a script": ["-c", "HF_TOKEN=x7Qp21aa python a.py"],
    "an option in a script": ["-c", "python a.py --token 'x7Qp21aa' | tee log"],
    "a script that no shell would read": ["-c", "it's --token x7Qp21aa"],
    "a password in a URL": ["--store", "postgres://me:x7Qp21aa@host:5432/db"],
    "a header": ["-H", "Authorization: Bearer x7Qp21aa"],
}


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_among_the_words_is_known(name: str) -> None:
    assert given_secrets([Entry(args=tuple(SECRET[name]))]) == {"x7Qp21aa"}
    assert given_secrets([Entry(command=("bash", *SECRET[name]))]) == {"x7Qp21aa"}


def test_a_secret_among_the_variables_is_known_and_one_by_its_look() -> None:
    assert given_secrets([Entry(env=(("GITHUB_TOKEN", "x7Qp21aa"), ("A", "b")))]) == {"x7Qp21aa"}
    assert given_secrets([Entry(env=(("A", "hf_" + "a1" * 10),))]) == {"hf_" + "a1" * 10}


@pytest.mark.parametrize(
    "words",
    [
        ["--max-tokens", "512000"],
        ["--pad-token", "<|endoftext|>"],
        ["--tokenizer", "qwen2.5"],
        ["--token", "$HF_TOKEN"],
        ["--token=${HF_TOKEN}"],
        ["--use-token", "--next", "value12"],
        ["--primary-key", "column12"],
        ["WANDB_API_KEY=disabled"],
        ["--token", "test"],
        ["--master-port", "29500"],
        ["https://host:8080/x@y"],
    ],
)
def test_what_is_no_secret_is_left_alone(words: list[str]) -> None:
    assert given_secrets([Entry(args=tuple(words))]) == set()


def test_the_names_of_secrets() -> None:
    for name in ("HF_TOKEN", "api-key", "apiKey", "wandb.api_key", "PGPASSWORD", "MYSQL_PWD"):
        assert is_secret_name(name), name
    for name in ("tokens", "eos_token", "keyboard", "key", "secretary", "TOKENIZERS_PARALLELISM"):
        assert not is_secret_name(name), name


@given(st.lists(st.text(max_size=20), max_size=6))
def test_any_words_are_read(words: list[str]) -> None:
    given_secrets([Entry(args=tuple(words))])


@pytest.mark.timeout(60)
def test_a_long_word_is_read_in_time() -> None:
    """What takes quadratic time would take a quarter of an hour; the limit is only there to end it."""
    assert given_secrets([Entry(args=("a" * 200_000,))]) == set()


def test_no_command_shows_such_a_secret_and_what_is_shown_can_be_run_again(repository: Any) -> None:
    repository.write(
        "trainci.toml",
        """\
[suites.s]
num_gpus = 0
env = { API_TOKEN = "x7Qp21aa" }
tests = [
  { path = "tests/test_a.py", args = ["--hf-token", "y7Qp21aa"] },
  { path = "tests/test_a.py", args = ["--hf-token", "y7Qp21aa"], env = { A = "https://me:z7Qp21aa@host" } },
  { path = "tests/test_a.py", args = ["--hf-token", "y7Qp21aa"] },
]
[suites.changed]
select = "changed"
""",
    )
    repository.write("tests/test_a.py", 'import sys\nif __name__ == "__main__":\n    assert 0, sys.argv\n')
    repository.git("init")
    repository.commit("first")
    repository.write("tests/test_a.py", 'import sys\nif __name__ == "__main__":\n    assert 0, sys.argv[1:]\n')
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    shown = "tests/test_a.py[--hf-token ***]"
    for arguments in (
        ["list"],
        ["list", "--json"],
        ["check"],
        ["check", "--json"],
        ["plan", "--changed", "--base", "HEAD"],
        ["run", "s", "--dry-run"],
        ["run", "s", "--dry-run", "--json"],
        ["run", "--id", "tests/test_a.py[--hf-token y"],
        ["run", "--id", shown, "--devices", "cpu:1"],
        ["run", "--last-failed", "--dry-run"],
        ["history"],
    ):
        said = repository.trainci(*arguments, environment=locks)
        assert said.code != 3
        assert not any(secret in said.out + said.err for secret in ("x7Qp21aa", "y7Qp21aa", "z7Qp21aa")), arguments
        if arguments[-1] == "cpu:1":
            assert "1 failed" in said.out and shown in said.out
    assert any(shown in line and "failed" in line for line in repository.trainci("list").out.splitlines())
    assert "changed tests/test_a.py" in repository.trainci("plan", "--changed", "--base", "HEAD").out
    files = [path for path in (repository.root / ".trainci").rglob("*") if path.is_file()]
    assert files and not any(b"7Qp21aa" in path.read_bytes() for path in files)


def test_the_secrets_in_a_secret_that_is_json_are_masked_by_their_names():
    account = {
        "type": "service_account",
        "private_key": "-----BEGIN-----\nMIIEvQIBADAN\n",
        "more": [{"token": "tok-99887766"}],
    }
    assert secrets_inside(json.dumps(account)) == {"-----BEGIN-----\nMIIEvQIBADAN\n", "tok-99887766"}
    for text in ("no JSON", "[" * 100_000, "5", "null", '"a"', "", "a word", "https://host:80/x@y"):
        assert secrets_inside(text) == set()


@pytest.mark.parametrize(
    "text",
    [
        "postgres://me:x7Qp21aa@db.host:5432/base",
        "[default]\naws_access_key_id = AKIA\naws_secret_access_key = x7Qp21aa\n",
        "machine api.wandb.ai\n  login user\n  password x7Qp21aa\n",
        "users:\n- name: ci\n  user:\n    token: 'x7Qp21aa'\n",
        'export HF_TOKEN="x7Qp21aa"\nMODE=offline\n',
        "Server=db;User=ci;Password=x7Qp21aa;",
    ],
)
def test_the_secret_in_a_secret_of_names_and_values_is_known(text: str) -> None:
    assert secrets_inside(text) == {"x7Qp21aa"}
