"""Holds one hook to its contract and gives the verdict."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from trainci.contracts import loading
from trainci.contracts.contract import Contract, Hook, Violation
from trainci.contracts.limit import USUAL, Limit, TimeOver


@dataclass(frozen=True)
class Verdict:
    """What became of one hook."""

    contract: Contract
    path: str
    problem: str = ""
    """How it broke its contract; empty: it passed."""
    came: str = ""
    """Its own signature, once it could be read."""
    sample: str = ""
    """The sample that broke it."""
    not_called: str = ""
    """Why a hook that passed was only loaded and its signature compared; empty: it was called as well."""

    @property
    def passed(self) -> bool:
        return not self.problem

    def __str__(self) -> str:
        head = f"--{self.contract.option} {self.path}"
        if self.passed:
            limit = f"\n          signature only: {self.not_called}" if self.not_called else ""
            return f"passed  {head}{limit}"
        lines = [
            f"failed  {head}",
            self.problem.replace("\n", "\n            "),
            f"expected: {self.contract.signature}",
            f"came:     {self.came}" if self.came else "",
            f"sample:   {self.sample}" if self.sample else "",
        ]
        return "\n          ".join(filter(None, lines))


def check(
    contract: Contract,
    path: str,
    settings: Mapping[str, object] | None = None,
    shown: Collection[str] = (),
    limit: Limit = USUAL,
) -> Verdict:
    """Load the hook at ``path``, compare its signature and call it with small samples.

    ``settings`` are attributes of ``args`` that the hook needs beyond the usual ones. The current directory
    is searched for modules first. ``shown`` are the fields of a sample that the verdict shows; empty: all.
    A hook that takes longer than ``limit`` breaks its contract.
    """
    came, not_called = "", ""
    hook: Hook | None = None
    try:
        with loading.current_directory_on_path(), limit.hold():
            try:
                function = loading.load(path)
            except loading.TorchMissing as missing:
                function = loading.load_from_source(path)
                not_called = f"it {missing}, so it was read, not loaded"
            signature = loading.signature_of(function)
            came = f"{'async ' if inspect.iscoroutinefunction(function) else ''}{signature}"
            _compare(contract, signature, function)
            if contract.check is None:
                not_called = "it can only be called inside the trainer, with the engine's own objects"
            elif contract.needs_torch and not not_called and not loading.torch_is_installed():
                not_called = "its arguments are tensors, and torch is not installed here"
            elif not not_called:
                hook = Hook(contract, function, settings or {})
                contract.check(hook)
    except (Violation, TimeOver) as broken:
        # What is about no sample of its own is about what the hook was given.
        own = getattr(broken, "sample", None)
        sample = own if own is not None or hook is None else hook.given
        return Verdict(contract, path, problem=str(broken), came=came, sample=describe(sample, shown))
    return Verdict(contract, path, came=came, not_called=not_called)


def _compare(contract: Contract, signature: inspect.Signature, function: Callable[..., Any]) -> None:
    try:
        signature.bind(*contract.positional, **dict.fromkeys(contract.keywords))
    except TypeError as error:
        raise Violation(f"cannot be called as the trainer calls it: {error}") from None
    is_async = inspect.iscoroutinefunction(function)
    if is_async and not contract.awaited:
        raise Violation("is async, but the trainer does not await it")
    if contract.awaited and not is_async and inspect.isfunction(function):
        raise Violation("is not async, but the trainer awaits it: write `async def`")


def describe(sample: object, shown: Collection[str] = ()) -> str:
    """A sample in one line, its long values cut, and only the fields ``shown``; empty for none."""
    if sample is None or isinstance(sample, str):
        return sample or ""
    if isinstance(sample, (list, tuple)):
        return f"[{', '.join(describe(one, shown) for one in sample)}]"
    if not is_dataclass(sample) or isinstance(sample, type):
        return reprlib.repr(sample)
    present = [field.name for field in fields(sample) if not shown or field.name in shown]
    return f"{type(sample).__name__}({', '.join(f'{name}={_short(getattr(sample, name))}' for name in present)})"


def _short(value: object) -> str:
    return str(getattr(value, "value", None) or reprlib.repr(value))
