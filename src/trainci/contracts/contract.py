"""The nouns: a Contract as data, the Table of a trainer's, the Hook that is held to one, and its Violation.

They know no trainer: what a hook is called with, and what is looked at in its answer, is a Contract's ``check``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from trainci.contracts.limit import TimeOver
from trainci.contracts.places import place
from trainci.errors import UsageError


class Violation(Exception):
    """A hook does not keep its contract. ``sample`` is what it was given or gave back when it broke."""

    def __init__(self, sentence: str, sample: object = None) -> None:
        super().__init__(sentence)
        self.sample = sample


@dataclass(frozen=True)
class Contract:
    """How the trainer calls one hook and what it does with the answer."""

    option: str
    """The trainer's argument, without the dashes in front: ``custom-rm-path``."""
    positional: tuple[str, ...]
    """What the trainer passes by position; a hook may give its parameters other names."""
    returns: str
    """What it must return, for people."""
    check: Callable[[Hook], None] | None
    """Calls the hook with small samples and raises Violation. None: it cannot be called outside the trainer."""
    keywords: tuple[str, ...] = ()
    """What the trainer passes by name."""
    awaited: bool = False
    """The trainer awaits the answer, so the hook must be ``async def``."""
    needs_torch: bool = False
    """Its arguments are tensors."""
    switch: str = ""
    """The trainer's switch under which it calls this form of the hook (``group-rm``); empty: its usual form."""

    @property
    def signature(self) -> str:
        """The signature as shown: what the trainer passes and what it expects."""
        by_name = [f"{name}=…" for name in self.keywords]
        star = [] if self.positional or not by_name else ["*"]
        prefix = "async " if self.awaited else ""
        return f"{prefix}({', '.join([*self.positional, *star, *by_name])}) -> {self.returns}"


@dataclass(frozen=True)
class Table:
    """Every hook that one trainer loads from a function path. A new hook is a Contract in it, and a check."""

    contracts: tuple[Contract, ...]
    shown: tuple[str, ...] = ()
    """The fields of a sample that a verdict shows; empty: all of them."""

    @property
    def options(self) -> tuple[str, ...]:
        """Each hook once, in the order of the table."""
        return tuple(dict.fromkeys(contract.option for contract in self.contracts))

    @property
    def switches(self) -> tuple[str, ...]:
        """Each switch that has a form of a hook of its own."""
        return tuple(dict.fromkeys(contract.switch for contract in self.contracts if contract.switch))

    def find(self, option: str, *switches: str) -> Contract:
        """The contract of ``option``, in the form that one of ``switches`` asks for where it has such a form.

        :raises UsageError: there is no such hook.
        """
        forms = [contract for contract in self.contracts if contract.option == option]
        if not forms:
            raise UsageError(f"there is no hook {option!r}; there are: {', '.join(self.options)}")
        return next((contract for contract in forms if contract.switch in switches), forms[0])


class Args(SimpleNamespace):
    """The trainer's arguments. One that a hook needs and that is missing is an error with the way out."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"args has no {name!r} in a contract check; give it with --set {name}=VALUE")


@dataclass
class Hook:
    """A loaded function (or class) with the ``settings`` that its ``args`` carry beyond those of its check."""

    contract: Contract
    function: Callable[..., Any]
    settings: Mapping[str, object] = field(default_factory=dict)
    given: object = None
    """What it was last called about."""

    def args(self, **values: object) -> Args:
        """The trainer's arguments as the hook sees them; its settings overrule ``values``."""
        return Args(**{**values, **self.settings})

    def call(self, *positional: object, sample: object = None, **keywords: object) -> Any:
        """Call the hook as the trainer does; what goes wrong inside it becomes a Violation about ``sample``."""
        self.given = sample
        return self.run(lambda: self.function(*positional, **keywords), sample)

    def run(self, action: Callable[[], Any], sample: object = None) -> Any:
        """Run a part of the hook, such as a method of its class, under the rules of ``call``."""
        try:
            answer = action()
            if not self.contract.awaited:
                if inspect.iscoroutine(answer):
                    answer.close()
                    raise Violation("is async, but the trainer does not await it", sample)
                return answer
            if not inspect.isawaitable(answer):
                raise Violation("is not async, but the trainer awaits it: write `async def`", sample)
            return asyncio.run(_wait_for(answer))
        except (Violation, TimeOver, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit too: a hook must not end the trainer
            where = place(error.__traceback__)
            raise Violation(f"raised {type(error).__name__}: {error} ({where})", sample) from error


async def _wait_for(answer: Any) -> Any:
    return await answer
