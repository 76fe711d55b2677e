"""Loads ``pkg.module.function``, or says precisely why it cannot be loaded."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trainci.contracts.contract import Violation
from trainci.contracts.limit import TimeOver
from trainci.contracts.places import place


class TorchMissing(Violation):
    """The module needs torch, which is not installed here."""


def torch_is_installed() -> bool:
    """Whether ``import torch`` would find a module; nothing is imported."""
    return importlib.util.find_spec("torch") is not None


@contextlib.contextmanager
def current_directory_on_path() -> Iterator[None]:
    """Import from the current directory first, as a trainer that was started as ``python train.py`` does."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def load(path: str) -> Callable[..., Any]:
    """The function or class at ``path``.

    :raises TorchMissing: importing it needs torch, which is absent.
    :raises Violation: anything else that keeps it from being loaded.
    """
    module_name, name = split(path)
    try:
        module = importlib.import_module(module_name)
    except (TimeOver, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: a module must not end us on import
        raise _import_violation(module_name, error) from error
    if not hasattr(module, name):
        close = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise Violation(f"{module.__file__ or module_name} has no {name!r}{hint}")
    function = getattr(module, name)
    if not callable(function):
        raise Violation(f"{name!r} of {module.__file__} is not callable, but of type {type(function).__name__}")
    return function  # type: ignore[no-any-return]


def split(path: str) -> tuple[str, str]:
    """``a.b.c`` → ``a.b``, ``c``.

    :raises Violation: it is no such path.
    """
    if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise Violation(f"{path!r} is not a function path; write package.module.function")
    module_name, _, name = path.rpartition(".")
    return module_name, name


def _import_violation(module_name: str, error: BaseException) -> Violation:
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{module_name}.".startswith(f"{error.name}."):
            looked = f"looked in {Path.cwd()} and among the installed packages"
            return Violation(f"there is no module {error.name!r}; {looked}")
        where = place(error.__traceback__)
        if error.name.partition(".")[0] == "torch" and not torch_is_installed():
            return TorchMissing(f"imports torch ({where}), which is not installed here")
        return Violation(f"imports {error.name!r}, which is not installed here ({where})")
    where = (
        f"{error.filename}:{error.lineno}"
        if isinstance(error, SyntaxError) and error.filename
        else place(error.__traceback__)
    )
    return Violation(f"importing {module_name!r} raised {type(error).__name__}: {error} ({where})")


def load_from_source(path: str) -> Callable[..., Any]:
    """A function that does nothing, with the parameters that stand in the source of ``path``; not imported.

    :raises Violation: the source defines no such function or class at its top level.
    """
    module_name, name = split(path)
    try:
        spec = importlib.util.find_spec(module_name)
    except ImportError as error:  # a package above it needs torch as well
        raise _import_violation(module_name, error) from error
    if spec is None or spec.origin is None:
        raise Violation(f"there is no source file of {module_name!r} to read")
    tree = ast.parse(Path(spec.origin).read_bytes(), spec.origin)
    for node in reversed(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return _hollow(node)
    raise Violation(f"{spec.origin} defines no function {name!r}, and it cannot be imported without torch")


def _hollow(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Callable[..., Any]:
    arguments = node.args
    everything = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for argument in filter(None, everything):
        argument.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [default and ast.Constant(None) for default in arguments.kw_defaults]
    node.decorator_list, node.returns, node.body = [], None, [ast.Pass()]
    defined: dict[str, Any] = {}
    module = ast.fix_missing_locations(ast.Module(body=[node], type_ignores=[]))
    exec(compile(module, "<signature>", "exec"), defined)
    function: Callable[..., Any] = defined[node.name]
    return function


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function or of a class's constructor.

    :raises Violation: Python cannot tell it.
    """
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        raise Violation("its signature cannot be read") from None
