"""Where a fork's code could leave something for later jobs, `trainci check` says so."""

from __future__ import annotations

import pytest

MAIN = "NUM_GPUS = 0\nif __name__ == '__main__':\n    assert NUM_GPUS == 0\n"
SUITE = 'tests = ["tests/test_a.py"]'
NOTE = "have no image: what a fork's code leaves on the machine is there for later jobs."


@pytest.mark.parametrize(
    ("config", "noted"),
    [
        (f'[suites.a]\n{SUITE}\nruns_on = "self-hosted"', ["trainci.toml:3: the jobs of a "]),
        (
            f'[workflow]\nruns_on = ["gpu"]\n[suites.a]\n{SUITE}\n[suites.b]\n{SUITE}',
            ["trainci.toml:2: the jobs of a, b "],
        ),
        (
            f'[workflow]\nruns_on = ["gpu"]\n[suites.a]\n{SUITE}\n[suites.b]\n{SUITE}\nimage = "x"',
            ["trainci.toml:2: the jobs of a "],
        ),
        (f'[suites.a]\n{SUITE}\nruns_on = "ubuntu-latest"', []),
        (f'[project]\nimage = "x"\n[suites.a]\n{SUITE}\nruns_on = "gpu"', []),
        (f'[workflow]\nruns_on = ["gpu"]\n[suites.a]\n{SUITE}\nalways = true', []),
        (f"[suites.a]\n{SUITE}", []),
    ],
)
def test_your_own_machines_without_a_container_are_noted_at_their_runs_on(repository, config, noted):
    repository.write("trainci.toml", config + "\n")
    repository.write("tests/test_a.py", MAIN)
    said = repository.trainci("check")
    assert said.code == 0, said.out
    assert [line.partition(NOTE)[0] for line in said.out.splitlines() if NOTE in line] == noted
    above = f"; {len(noted)} note{'s' * (len(noted) > 1)} above" if noted else ""
    assert said.out.endswith(f"nothing is wrong{above}.\n")
