"""Which metrics of a test are gated, as ``trainci.toml`` says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt

from trainci.config.fields import Table
from trainci.model.gates import Gate, gate_of

_Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class MetricTable(Table):
    """What a metric must be. "history" is short for `{ gate = "history" }`, a number for `{ value = … }`."""

    gate: Literal["history"] | None = Field(
        None, description="Where its values were on the base branch says what it may be; docs/metrics.md."
    )
    scale: Literal["log"] | None = Field(
        None, description="With `gate`: its values differ by factors, so their logarithms are compared."
    )
    value: _Finite | None = Field(None, description="What it must be: exactly, or as near as the next two say.")
    absolute: _Finite | None = Field(None, description="How far it may be from `value`.")
    relative: _Finite | None = Field(None, description="The same as a share of `value`.")
    min: _Finite | None = Field(None, description="The least that it may be.")
    max: _Finite | None = Field(None, description="The most that it may be.")
    step: StrictInt | None = Field(None, description="At which training step; the last recorded when left out.")


def _table(said: Any) -> Any:
    if isinstance(said, str):
        return {"gate": said}
    return {"value": said} if isinstance(said, int | float) and not isinstance(said, bool) else said


def _each_is_a_gate(tables: dict[str, MetricTable]) -> dict[str, MetricTable]:
    gates_of(tables)
    return tables


Metrics = Annotated[dict[str, Annotated[MetricTable, BeforeValidator(_table)]], AfterValidator(_each_is_a_gate)]


def gates_of(tables: Mapping[str, MetricTable]) -> tuple[Gate, ...]:
    """The gates that these tables say.

    :raises ValueError: one says none.
    """
    return tuple(gate_of(name, table.model_dump(exclude_none=True)) for name, table in tables.items())
