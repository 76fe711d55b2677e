"""The task and what is made for it: problems, pictures, the tokenizer, the teacher, the assets on the disk."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from posttrain.task import assets
from posttrain.task.data_source import batch
from posttrain.task.pictures import COUNTS, draw_problems
from posttrain.task.problems import LARGEST, Problem, all_problems, read_problems, write_problems
from posttrain.task.supervised import teach
from posttrain.task.tokenizer import EOS, PAD, build_tokenizer

NUM_GPUS = 0


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


def test_problems_come_back_as_they_were_written(tmp_path):
    data = tmp_path / "train.jsonl"
    problems = [Problem("1 + 1?", "#### 2"), Problem("How many?", "#### 4", "pictures/4.npy")]
    write_problems(data, problems)
    there = str(tmp_path / "pictures" / "4.npy")
    assert read_problems(data) == [problems[0], Problem("How many?", "#### 4", there)]
    data.write_text(data.read_text() + '{"question": "2 + 2?"}\n')
    with pytest.raises(ValueError, match=r'train.jsonl:3: not an object with "question" and "answer"'):
        read_problems(data)
    data.write_text("")
    with pytest.raises(ValueError, match="holds no problem"):
        read_problems(data)
    assert [(problem.question, problem.answer.splitlines()[-1]) for problem in all_problems()] == [
        (f"What is {a} + {b}?", f"#### {a + b}") for a in range(3) for b in range(3)
    ]


def test_each_digit_is_a_token() -> None:
    """However often two of them stand side by side."""
    often = [Problem("12 + 12?", "#### 24")] * 20
    assert build_tokenizer(often).encode("12 + 24").tokens == ["1", "2", "Ġ+", "Ġ", "2", "4"]


def test_pictures_have_as_many_bright_squares_as_their_answers_say(tmp_path: Path) -> None:
    problems, again = (draw_problems(tmp_path / name) for name in ("one", "other"))
    found = []
    for problem, same in zip(problems, again, strict=True):
        picture = np.load(tmp_path / str(problem.image))
        assert np.array_equal(picture, np.load(tmp_path / str(same.image)))
        squares = [half for row in np.split(picture, 2) for half in np.split(row, 2, axis=1)]
        found.append(sum(square.mean() > 128 for square in squares))
        assert problem.answer == f"#### {found[-1]}"
        assert problem.question == "How many?"
    assert sorted(found) == sorted(COUNTS * (len(found) // len(COUNTS)))


class Pairs(torch.nn.Module):
    """Likes a token by the one before it alone."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(vocabulary, vocabulary))

    def forward(self, tokens: torch.Tensor, use_cache: bool) -> object:
        self.logits = self.table[tokens]
        return self


def test_a_teacher_learns_answers_and_their_end_and_nothing_else() -> None:
    problem = Problem("What is 1 + 2?", "1 + 2 = 3\n#### 3")
    longer = Problem("What is What is 1 + 2?", problem.answer)  # so that the other one is padded
    tokenizer = build_tokenizer([*all_problems(), longer])
    model = Pairs(tokenizer.get_vocab_size())
    teach(model, tokenizer, [problem, longer], steps=3)
    likeliest = {
        tokenizer.id_to_token(before): tokenizer.id_to_token(int(row.argmax()))
        for before, row in enumerate(model.table)
        if row.any()
    }
    assert likeliest == {"?": "####", "####": "Ġ", "Ġ": "3", "3": EOS}


def test_assets_are_built_anew_when_what_they_are_made_by_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, stamps = Path(assets.__file__).parents[1], []
    monkeypatch.setattr(assets, "_PACKAGE", tmp_path)
    names = [*package.glob("task/*.py"), package / "families.py", package / "mimo.py"]
    made_by = [
        path.relative_to(package) for path in names if path.stem not in ("__init__", "data_source", "reward")
    ]
    for changed in (None, *made_by):
        for path in made_by:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            text = (package / path).read_text()
            (tmp_path / path).write_text(text + "# changed" * (path == changed))
        stamps.append(assets._stamp("qwen3", 0))
    stamps += [assets._stamp("qwen3", 1), assets._stamp("glm4", 0)]
    assert len(set(stamps)) == len(stamps)


def test_assets_that_cannot_be_built_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(directory: Path, family: str, supervised_steps: int) -> None:
        (directory / "half").touch()
        raise OSError("no space left")

    monkeypatch.setattr(assets, "_build", build)
    with pytest.raises(OSError, match="no space left"):
        assets.ensure(tmp_path / "tiny")
    assert [path.name for path in tmp_path.iterdir()] == [".tiny.lock"]


def test_assets_that_several_ask_for_at_once_are_built_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def build(directory: Path, family: str, supervised_steps: int) -> None:
        built.append((family, supervised_steps))
        time.sleep(0.2)  # so that the others would have come, too

    monkeypatch.setattr(assets, "_build", build)
    place = tmp_path / "not" / "there" / "yet"
    threads = [threading.Thread(target=assets.ensure, args=(place, "qwen3", 40)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [("qwen3", 40)]
    assert [path.name for path in place.iterdir()] == ["stamp"]
    assert sorted(path.name for path in place.parent.iterdir()) == [".yet.lock", "yet"]
