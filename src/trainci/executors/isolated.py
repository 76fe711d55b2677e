"""How a process of ours is started that sees neither a file of a repository nor what is meant for a test."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

_BOOT = "import json, sys; sys.path += json.loads(sys.argv.pop(1)); "


def isolated(code: str) -> list[str]:
    """The words that run ``code``, which finds in ``sys.argv[1:]`` those that are put behind them."""
    # -I: neither the current directory, nor PYTHON… variables, nor the user's own packages.
    return [sys.executable, "-I", "-c", f"{_BOOT}{code}", json.dumps(_paths())]


def isolated_main(module: str) -> list[str]:
    """The words that run ``main`` of a module with those behind them, and exit with what it returns."""
    return isolated(f"from {module} import main; sys.exit(main(*sys.argv[1:]))")


def _paths() -> list[str]:
    """Where this package and the one that it may need are, which need not be where Python looks by itself."""
    own = str(Path(__file__).parents[2])
    nvml = importlib.util.find_spec("pynvml")
    return [own] if nvml is None or nvml.origin is None else [own, str(Path(nvml.origin).parent)]
