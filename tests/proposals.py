"""What ``trainci init`` proposes for a repository of a few files, and workflows of one job for one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from trainci.adopt import propose
from trainci.adopt.proposal import Proposal
from trainci.adopt.toml import render
from trainci.adopt.tree import Tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORKFLOW = ".github/workflows/ci.yml"


def proposed(files: Mapping[str, str]) -> Proposal:
    """What is proposed for the files with these texts, by their paths."""
    return propose(Tree(files, lambda path: files.get(path, "")), "main")


def parsed(proposal: Proposal) -> dict[str, Any]:
    """The values of the trainci.toml that says so, which must be TOML whatever they are."""
    return tomllib.loads(render(proposal))


def written(files: Mapping[str, str]) -> dict[str, Any]:
    """The same of what is proposed for these files."""
    return parsed(proposed(files))


def suites(files: Mapping[str, str]) -> dict[str, Any]:
    """Its suites, by their names."""
    found: dict[str, Any] = written(files).get("suites", {})
    return found


def job(steps: str, head: str = "", on: str = "push") -> dict[str, str]:
    """A workflow with one job, whose steps are indented by six."""
    return {WORKFLOW: f"on: {on}\njobs:\n  job:\n    runs-on: ubuntu-latest\n{head}    steps:\n{steps}"}


def run(*lines: str, head: str = "", on: str = "push") -> dict[str, str]:
    """The same, of one step with these lines of a script."""
    script = "".join(f"          {line}\n" for line in lines)
    return job(f"      - run: |\n{script}", head, on)
