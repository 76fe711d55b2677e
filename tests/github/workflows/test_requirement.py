"""The generated workflow installs trainci from somewhere that exists, or `generate` says that it may not."""

from __future__ import annotations

import json

import pytest

from trainci.github.workflows.requirement import _pinned, _warning, installed

_FOLDER = json.dumps({"url": "file:///src/trainci", "dir_info": {"editable": True}})
_CLONE = json.dumps({"url": "https://example.org/trainci", "vcs_info": {"vcs": "git", "commit_id": "abc"}})


@pytest.mark.parametrize("requirement", ["trainci", "trainci==0.1.0", "Trainci[ray] >= 0.1"])
def test_a_name_is_doubted_where_this_trainci_came_from_no_index(requirement):
    assert f"the jobs install {requirement} from an index" in _warning(requirement, _FOLDER)
    assert "file:" not in _warning(requirement, _FOLDER)
    assert '"trainci @ git+https://example.org/trainci@abc"' in _warning(requirement, _CLONE)
    assert _warning(requirement, None) == ""


@pytest.mark.parametrize("requirement", [".", "trainci @ https://example.org/x.whl", "./trainci.whl", "other"])
def test_an_address_is_taken_as_it_is(requirement):
    assert _warning(requirement, _FOLDER) == ""


@pytest.mark.parametrize("written", ["", "[", "[]", "{}", '{"url": 3}', '{"url": "https://x", "vcs_info": 1}'])
def test_what_pip_wrote_down_may_be_anything(written):
    assert "\n" not in _warning("trainci", written)


def test_without_a_wish_the_jobs_install_what_is_installed_here():
    assert _pinned("1.2.3", None) == "trainci==1.2.3"
    assert _pinned("1.2.3", _FOLDER) == "trainci==1.2.3"
    assert _pinned("1.2.3", _CLONE) == "trainci @ git+https://example.org/trainci@abc"
    for written in ("", "[", "[]", "{}", '{"url": 3}'):
        assert _pinned("1.2.3", written) == "trainci==1.2.3"


def test_generate_warns_and_writes(repository):
    repository.write("tests/test_a.py", "NUM_GPUS = 0\n\n\nif __name__ == '__main__':\n    print(1)\n")
    repository.write(".github/workflows/pr-test.yml.j2", '<% extends "trainci/pr-test.yml.j2" %>\n')
    repository.write("trainci.toml", '[suites.a]\ntests = ["tests/test_a.py"]\n')
    said = repository.trainci("generate")
    assert (said.code, said.out) == (0, "wrote .github/workflows/pr-test.yml\n")
    assert f"trainci: the jobs install {installed()}, the trainci that wrote them" in said.err
    assert f"trainci: the jobs install {installed()} from an index" in said.err
    workflow = (repository.root / ".github/workflows/pr-test.yml").read_text()
    assert f'TRAINCI: "{installed()}"' in workflow
    assert 'TRAINCI: "trainci"' not in workflow
    assert "wrote them" not in repository.trainci("generate").err
    repository.write("trainci.toml", '[suites.a]\ntests = ["tests/test_a.py"]\n[workflow]\ntrainci = "."\n')
    assert repository.trainci("generate").err == ""
