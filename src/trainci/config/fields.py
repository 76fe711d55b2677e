"""What a value of ``trainci.toml`` may be, whatever table it stands in."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationInfo,
)

from trainci.config import github_values as github
from trainci.config import values as allowed
from trainci.log_files import packaged_rules
from trainci.text import printable


def _of_empty_folder(root: Path, file: str) -> str:
    """How a file comes to be there whose folder is empty: so does git leave a submodule."""
    above = next(folder for folder in (root / file).parents if folder.is_dir())
    if above == root or any(above.iterdir()):
        return ""
    folder = printable(above.relative_to(root).as_posix())
    return f"; {folder} is empty. If it is a submodule: `git submodule update --init {folder}`"


def _target(path: str, info: ValidationInfo) -> str:
    """A file, a folder, a test inside a file (``::``), or a glob of files, each below the root."""
    root: Path = (info.context or {})["root"]
    shown = printable(path) or "an empty string"
    if not allowed.inside(path):
        raise ValueError(f"{shown} is not inside the repository; write a path relative to its root")
    file, separator, node = path.partition("::")
    try:
        is_there = (root / file).exists()
    except OSError as error:
        raise ValueError(f"{shown} cannot be read: {error.strerror}") from None
    if not is_there and allowed.is_glob(file) and not separator:
        return posixpath.normpath(file)
    if not is_there:
        raise ValueError(f"{shown} does not exist{_of_empty_folder(root, file)}")
    if not (root / file).resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{shown} is a link that leads outside the repository")
    return posixpath.normpath(file) + separator + node


def packaged_rule(name: str) -> str:
    """The name of one of trainci's own rules for logs.

    :raises ValueError: it is none.
    """
    if name not in {rule.name for rule in packaged_rules()}:
        raise ValueError(f"{printable(name)} is no rule of trainci's; docs/verdicts.md names them")
    return name


Minutes = Annotated[float, Field(strict=True, gt=0, le=7 * 24 * 60, allow_inf_nan=False)]
Retries = Annotated[StrictInt, Field(ge=0, le=10)]
Gpus = Annotated[StrictInt, Field(ge=0, le=1024)]
Argument = Annotated[StrictStr, AfterValidator(allowed.no_nul)]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(allowed.env_name)]
EnvValue = Annotated[Argument, BeforeValidator(allowed.env_value)]
Env = Annotated[dict[EnvName, EnvValue], AfterValidator(allowed.env)]
TakenIn = Annotated[Argument, AfterValidator(allowed.taken_in)]
Glob = Annotated[StrictStr, AfterValidator(allowed.glob_inside)]
Target = Annotated[StrictStr, AfterValidator(_target)]
Words = Annotated[list[Argument], BeforeValidator(allowed.words), Field(min_length=1)]
Interpreter = Annotated[Words, AfterValidator(allowed.interpreter)]
SuiteName = Annotated[str, AfterValidator(github.suite_name)]
RunnerLabel = Annotated[Argument, AfterValidator(github.runner_label)]
RunsOn = Annotated[list[RunnerLabel], BeforeValidator(allowed.list_from_one), Field(min_length=1)]
Secret = Annotated[StrictStr, AfterValidator(github.secret_name)]
Mount = Annotated[Argument, AfterValidator(github.mount)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")
