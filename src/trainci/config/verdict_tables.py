"""The tables of ``trainci.toml`` about what a failure means, and which are known."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictStr

from trainci.config import values as allowed
from trainci.config.fields import Argument, Retries, Table, packaged_rule


class LogRuleTable(Table):
    """What a line of a test's log means, beside the rules that come with trainci."""

    name: Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = Field(description="What verdicts call it.")
    pattern: Annotated[StrictStr, Field(min_length=1), AfterValidator(allowed.regular_expression)] = Field(
        description="A regular expression (Python's), searched in a line without its rank and time."
    )
    meaning: Argument = Field(min_length=1, description="A sentence without an end.")
    blame: Literal["code", "machine", "config", "unsure"] = Field(description="Whose fault it is.")
    kind: Literal["cause", "consequence"] = Field("cause", description="A consequence decides where no cause does.")


class VerdictsTable(Table):
    """How failures are judged."""

    retries: Retries = Field(
        1, description="How often the machine's fault is tried again; a failure of the code never is."
    )
    off: list[Annotated[StrictStr, AfterValidator(packaged_rule)]] = Field(
        [], description="Names of trainci's rules for logs that do not count here."
    )
    rules: list[LogRuleTable] = Field([], description="Rules of this repository; they go before trainci's.")


class QuarantineTable(Table):
    """A test that is known to be bad: it runs and is reported, and fails no run until its time is over."""

    test: Argument = Field(min_length=1, description="Its id, or its file with all its variants.")
    owner: Argument = Field(min_length=1, description="Who sees to it.")
    reason: Argument = Field(min_length=1, description="What is wrong with it.")
    ticket: Argument = Field("", description="Where that is followed up.")
    until: date = Field(description="The last day on which it fails no run; `trainci check` fails from the next.")
