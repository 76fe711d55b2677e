"""Arguments that let a trainer report to Weights & Biases, where there is a key for it."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from trainci.errors import UsageError

KEY_VARIABLE = "WANDB_API_KEY"


def tracking_args(project: str, *, group: str | None = None) -> list[str]:
    """``["--use-wandb", "--wandb-project", project, "--wandb-group", group]``; nothing where no key is set.

    ``group`` is the running test's own name unless given, so that its attempts stand together. The key is no
    argument: wandb reads ``WANDB_API_KEY`` from the environment, which every process of the test inherits, and a
    command line is there for every user of the host to read. ``exec_command`` and ``execute_train`` never show it.

    :raises UsageError: an empty project.
    """
    if not project:
        raise UsageError("tracking_args: the project has no name")
    if not os.environ.get(KEY_VARIABLE):
        return []
    if group is None:
        group = os.environ.get("TRAINCI_TEST_ID") or _own_name()
    return ["--use-wandb", "--wandb-project", project, "--wandb-group", group]


def _own_name() -> str:
    import __main__

    return PurePosixPath(getattr(__main__, "__file__", None) or "interactive").stem
