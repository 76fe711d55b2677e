"""What is named as a secret stays out of everything that `trainci run` writes."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    "config",
    [
        '[project]\nsecrets = ["TOK"]\n[suites.s]\ntests = ["tests/test_a.py"]\n',
        '[suites.s]\nsecrets = ["TOK"]\ntests = ["tests/test_a.py"]\n',
        '[suites.s]\ntests = [{ path = "tests/test_a.py", secrets = ["TOK"] }]\n',
    ],
    ids=["project", "suite", "entry"],
)
def test_a_secret_is_masked_wherever_it_is_named_and_whatever_colours_part_it(repository: Any, config: str) -> None:
    repository.write("trainci.toml", config)
    repository.write(
        "tests/test_a.py",
        'NUM_GPUS = 0\nimport os\nif __name__ == "__main__":\n    tok = os.environ["TOK"]\n'
        '    print(tok)\n    print(tok[:5] + "\\x1b[36m" + tok[5:] + "\\x1b[0m")\n    assert False\n',
    )
    locks = str(repository.root / "locks")
    said = repository.trainci(
        "run",
        "s",
        "--devices",
        "cpu:1",
        "--junit",
        "j.xml",
        environment={"TOK": "sk-secret12345", "TRAINCI_LOCK_DIR": locks},
    )
    assert said.code == 1
    for text in (said.out, said.err, (repository.root / "j.xml").read_text()):
        assert "secret12345" not in text and "12345" not in text


METRICS = """
import json, os
from trainci.testing import record_metric

def main():
    record_metric(f"loss of {os.environ['TOK']}", 0.5)
    record_metric("loss", 0.25)

if __name__ == "__main__":
    main()
"""


def _everything_written(repository: Any) -> str:
    state = repository.root / ".trainci"
    texts = [path.read_bytes().decode("utf-8", "replace") for path in state.rglob("*") if path.is_file()]
    return "\n".join([*texts, *(str(path) for path in state.rglob("*"))])


def test_what_a_test_records_of_itself_is_masked(repository: Any) -> None:
    repository.write("trainci.toml", '[suites.s]\nnum_gpus = 0\nsecrets = ["TOK"]\ntests = ["a.py"]\n')
    repository.write("a.py", METRICS)
    environment = {"TOK": "sk-secret12345", "TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    said = repository.trainci("run", "s", "--devices", "cpu:1", environment=environment)
    assert said.code == 0, said
    written = _everything_written(repository)
    assert "12345" not in written and "loss of ***" in written and '"loss"' in written
    assert "loss of ***" in repository.trainci("metrics", "a.py").out


def test_a_secret_in_the_arguments_of_a_test_is_masked_in_its_name(repository: Any) -> None:
    entries = [
        '{ path = "a.py", args = ["--token", "sk-secret12345"] }',
        '{ path = "a.py", args = ["--token", "sk-secret67890"] }',
        '{ name = "steps", steps = [{ path = "a.py", args = ["sk-secret12345"] }] }',
    ]
    text = f'[suites.s]\nnum_gpus = 0\nsecrets = ["TOK", "TWO"]\ntests = [{", ".join(entries)}]\n'
    repository.write("trainci.toml", text)
    check = "    assert sys.argv[-1].startswith('sk-secret')\n    print('given', sys.argv[-1])\n"
    repository.write("a.py", f"import sys\n\ndef main():\n{check}\nif __name__ == '__main__':\n    main()\n")
    secrets = {"TOK": "sk-secret12345", "TWO": "sk-secret67890"}
    environment = {**secrets, "TRAINCI_LOCK_DIR": str(repository.root / "locks")}
    dry = repository.trainci("run", "s", "--devices", "cpu:1", "--dry-run", environment=environment)
    said = repository.trainci("run", "s", "--devices", "cpu:1", "--junit", "j.xml", environment=environment)
    assert said.code == 0 and "3 passed" in said.out, said
    shown = dry.out + dry.err + said.out + said.err + (repository.root / "j.xml").read_text()
    for text in (shown, _everything_written(repository)):
        assert "12345" not in text and "67890" not in text
    assert "a.py[--token ***]" in said.out and "a.py[--token ***]#2" in said.out
