"""The example's task, tokenizer and reward."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from posttrain.task.data_source import batch
from posttrain.task.problems import LARGEST, Problem, all_problems, read_problems, write_problems
from posttrain.task.reward import final_answer, reward
from posttrain.task.tokenizer import EOS, PAD, build_tokenizer


def test_problems_are_right_and_in_the_format_of_gsm8k(tmp_path: Path) -> None:
    problems = list(all_problems())
    write_problems(tmp_path / "train.jsonl", problems)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert len(rows) == (LARGEST + 1) ** 2
    for row in rows:
        assert set(row) == {"question", "answer"}
        solution, _, number = row["answer"].partition("\n#### ")
        sum_, _, result = solution.partition(" = ")
        a, b = sum_.split(" + ")
        assert row["question"] == f"What is {a} + {b}?"
        assert int(a) + int(b) == int(result) == int(number)
    assert read_problems(tmp_path / "train.jsonl") == problems


@pytest.mark.parametrize("line", ["no json", '{"question": "q"}', "[]", "3", '"text"'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"question": "q", "answer": "#### 1"}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"train\.jsonl:2: not an object with"):
        read_problems(path)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(ValueError, match=r"train\.jsonl: holds no problem"):
        read_problems(tmp_path / "train.jsonl")


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    problems = list(all_problems())
    assert batch(problems, 16, seed=1, step=2) == batch(problems, 16, seed=1, step=2)
    assert batch(problems, 16, seed=1, step=2) != batch(problems, 16, seed=1, step=3)
    assert batch(problems, 16, seed=1, step=2) != batch(problems, 16, seed=2, step=2)


def test_every_word_of_the_task_is_one_token() -> None:
    tokenizer = build_tokenizer(all_problems())
    for problem in all_problems():
        a, b = problem.question[8], problem.question[12]
        assert tokenizer.encode(problem.question).tokens == ["What", "Ġis", "Ġ", a, "Ġ+", "Ġ", b, "?"]
        answer = problem.answer.partition("\n")[2]
        assert tokenizer.encode(answer).tokens == ["####", "Ġ", answer[-1]]
        assert tokenizer.decode(tokenizer.encode(answer + EOS + PAD).ids) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("####7", "7"),
        ("#### 1,234", "1234"),
        ("#### -5", "-5"),
        ("#### 1 #### 2", "2"),
        ("7", None),
        ("#### seven", None),
        ("### 7", None),
        ("", None),
    ],
)
def test_the_final_answer_is_the_number_after_the_last_hashes(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("completion", "expected"), [("#### 3", 1.0), ("1 #### 3 ####", 1.0), ("#### 4", 0.1), ("3", 0.0), ("", 0.0)]
)
def test_reward(completion: str, expected: float) -> None:
    assert reward(completion, Problem("What is 1 + 2?", "1 + 2 = 3\n#### 3").answer) == expected
