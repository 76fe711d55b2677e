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
