"""The tables of ``trainci.toml`` about what runs tests elsewhere than on this host."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from trainci.config import values as allowed
from trainci.config.fields import Argument, Minutes, Table
from trainci.model.project import RAY_ADDRESS

SlurmWord = Annotated[StrictStr, AfterValidator(allowed.slurm_word)]


class SlurmTable(Table):
    """How tests are submitted to Slurm; what is left out is its own default."""

    partition: SlurmWord = Field("", description="Partition, or several with commas between them.")
    account: SlurmWord = Field("", description="Account that is charged.")
    qos: SlurmWord = Field("", description="Quality of service.")
    gres: Annotated[SlurmWord, Field(min_length=1)] = Field(
        "gpu", description="Its name for GPUs, such as gpu or gpu:h100; their number is added."
    )
    container: list[Argument] = Field(
        [],
        description="Words before a test's command that put it into a container, {image} its image: "
        '["srun", "--nodes=1", "--ntasks=1", "--container-image={image}"], ["apptainer", "exec", "--nv", "docker://{image}"].',
    )
    setup: list[Argument] = Field([], description="Lines of bash before each test, such as module load.")
    in_flight: Annotated[StrictInt, Field(ge=1, le=100_000)] = Field(
        200, description="How many jobs may be submitted and not over at once."
    )
    queue_minutes: Minutes = Field(7 * 24 * 60, description="How long a job may wait before it is given up.")


class RayTable(Table):
    """Which Ray cluster runs tests."""

    address: Annotated[Argument, Field(pattern=r"^https?://[^\s/]+")] = Field(
        RAY_ADDRESS, description="Address of its dashboard, which takes jobs."
    )


class ExecutorsTable(Table):
    """What runs tests elsewhere than on this host."""

    slurm: SlurmTable = Field(default_factory=lambda: SlurmTable())
    ray: RayTable = Field(default_factory=lambda: RayTable())
