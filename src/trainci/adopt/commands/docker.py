"""A ``docker run`` of a step: its image, what it mounts, its other options, and the script that it starts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from trainci.adopt.commands.unfold import shell_script

# fmt: off
_VALUED = {
    "-v", "--volume", "--mount", "-e", "--env", "--env-file", "-w", "--workdir", "--name", "-p", "--publish",
    "--gpus", "--shm-size", "--ulimit", "--network", "--net", "--cap-add", "--cap-drop", "--security-opt",
    "--device", "--user", "-u", "--entrypoint", "--ipc", "--pid", "--memory", "-m", "--memory-swap", "--cpus",
    "--label", "-l", "--hostname", "-h", "--add-host", "--tmpfs", "--runtime", "--pull", "--platform",
    "--privileged-level", "--group-add",
}
# fmt: on
# Of no use in a job's `container`, or said by another key there.
_DROPPED = {"--rm", "-it", "-i", "-t", "-d", "--interactive", "--tty", "--pull", "--name"}
# GitHub refuses these among the options of a job's container.
_REFUSED = {"--network", "--net", "--entrypoint"}


@dataclass(frozen=True)
class DockerRun:
    """``passed`` are names of variables that go in as they are, ``env`` those with a value.

    ``refused`` are options that no job may have.
    """

    image: str = ""
    folder: str = ""
    mounts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        """The shell script that it runs, "" for what the image starts."""
        return shell_script(self.command) or shlex.join(self.command)


def read_docker_run(words: Sequence[str]) -> DockerRun:
    """``words`` are those after ``docker run``."""
    mounts: list[str] = []
    options: list[str] = []
    passed: list[str] = []
    refused: list[str] = []
    env: dict[str, str] = {}
    position, folder = 0, ""
    while position < len(words) and words[position].startswith("-"):
        word = words[position]
        name, equals, value = word.partition("=")
        if not equals and name in _VALUED and position + 1 < len(words):
            position += 1
            value = words[position]
        if name in ("-v", "--volume"):
            # The checkout is mounted by the job's own container already.
            mounts += [value] if value.startswith("/") and ":/" in value else []
        elif name in ("-e", "--env"):
            own, is_set, text = value.partition("=")
            passed += [] if is_set else [own]
            env |= {own: text} if is_set else {}
        elif name in _REFUSED:
            refused.append(f"{name} {value}")
        elif name in ("-w", "--workdir"):
            folder = value
        elif name not in _DROPPED:
            options.append(word if equals or not value else f"{name} {value}")
        position += 1
    image = words[position] if position < len(words) else ""
    return DockerRun(
        image=image,
        folder=folder,
        mounts=tuple(mounts),
        options=tuple(options),
        passed=tuple(passed),
        env=tuple(env.items()),
        refused=tuple(refused),
        command=tuple(words[position + 1 :]),
    )
