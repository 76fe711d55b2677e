"""What starts a test and ends all of it. ``base`` says what an executor promises; here they are by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trainci.executors.base import Executor
from trainci.executors.local import local_executor

# Each makes its executor from the repository's root, the value of `trainci run --devices`, and the secrets that it
# masks in whatever a test prints. One that imports a library of its own does so when it is called.
EXECUTORS: Mapping[str, Callable[[Path, str, Sequence[str]], Executor]] = {
    "local": local_executor,
}
DEFAULT = "local"
