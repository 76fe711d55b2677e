"""What every part of the history needs of a database."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from trainci.history.store import StoreError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_S = TypeVar("_S", bound="Database")


def answered(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """``method``, with the backend's errors as a Store raises them."""

    @functools.wraps(method)
    def answer(store: _S, /, *arguments: _P.args, **named: _P.kwargs) -> _T:
        try:
            return method(store, *arguments, **named)
        except store.errors as error:
            raise store.failed(error) from None

    return answer


class Database(ABC):
    """What a backend gives: statements with ``?`` for their parameters, and what its errors mean."""

    errors: ClassVar[tuple[type[Exception], ...]]

    @abstractmethod
    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement, its parameters marked with ``?``."""

    @abstractmethod
    def execute_all(self, statement: str, rows: Iterable[Sequence[object]]) -> list[list[tuple[Any, ...]]]:
        """The same with the parameters of each of ``rows``, in one way there and back where there is a way."""

    @abstractmethod
    def execute_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """One statement that answers nothing, with the parameters of each row."""

    @abstractmethod
    def all_or_nothing(self) -> AbstractContextManager[object]:
        """All statements of the block, or none of them. A block in a block is a part of it."""

    @abstractmethod
    def failed(self, error: Exception) -> StoreError:
        """What one of ``errors`` means."""

    @abstractmethod
    def columns(self, table: str) -> list[str]:
        """The names of its columns, without that of the order of rows."""
