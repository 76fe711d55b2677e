"""Which secrets a test has, so that what it runs never shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

# What every training repository has in its environment, and no log may show.
_SECRET_VARIABLES = ("WANDB_API_KEY", "HF_TOKEN")


def with_environment(secrets: Iterable[str], added: Mapping[str, str] | None = None) -> list[str]:
    """``secrets`` (one string is one), and the keys and tokens of the environment and of what is ``added``."""
    given = [secrets] if isinstance(secrets, str) else list(secrets)
    environments = (os.environ, added or {})
    return [*given, *(found[name] for found in environments for name in _SECRET_VARIABLES if name in found)]
