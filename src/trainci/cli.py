"""The command line: streams, exit codes, and which command is where. Nothing else.

Every command returns its exit code, or raises; here, and nowhere else, an error becomes one. The commands' parser
(click) is imported with the first command: ``trainci --help`` answers before that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TextIO

from trainci import __version__
from trainci.errors import (
    EXIT_INTERRUPTED,
    EXIT_MACHINE,
    EXIT_OK,
    EXIT_USAGE,
    PlacedFaults,
    TrainciError,
    UsageError,
)
from trainci.streams import reliable

if TYPE_CHECKING:
    import click

# How a shell that completes a command line asks (see ``commands/completion``).
_COMPLETION = "_TRAINCI_COMPLETE"
# Each command is `command` in `commands/<module>.py`.
_COMMANDS = {
    "init": ("init", "Read the CI that is there and write a trainci.toml of it."),
    "list": ("list_tests", "Show suites and tests."),
    "run": ("run", "Run the tests of a label, suite, file, id or glob."),
    "check": ("check", "Find what is wrong with the repository's tests and suites."),
    "generate": ("generate", "Render the workflows from their templates, or check that they match."),
    "plan": ("plan", "Say which suites an event of GitHub would start, and why."),
    "gpus": ("gpus", "Show each device, who holds it since when, and who waits."),
    "metrics": ("metrics", "Show what tests recorded of themselves, run by run."),
    "baseline": ("baseline", "Show what metrics are held to, accept a value, or reset it."),
    "history": ("history", "Show what became of tests, run by run."),
    "import": ("import_runs", "Enter runs of other tools or hosts into the history."),
    "summary": ("summary", "Merge the runs of several jobs into one summary."),
    "serve": ("serve", "Show runs, tests and devices as pages in a browser."),
    "report": ("report", "Write a finished run as one HTML file, or for other programs."),
    "stacks": ("stacks", "Look at a running test: stacks, and what ranks wait for."),
    "explain": ("explain", "Say whose fault it was that a test did not pass, from any log."),
    "contracts": ("contracts", "Hold hooks loaded from function paths to their contracts."),
    "clean": ("clean", "Remove the logs of runs that are not to be kept."),
    "host": ("host", "Prepare this host for all its users, or find what is wrong with it."),
    "lease": ("lease", "Run a command on leased GPUs of this host."),
}
_HELP = """\
Usage: trainci COMMAND [ARGUMENT]...

Continuous integration for model-training repositories.

Commands (each knows --help):
{commands}

`trainci --install-completion bash|zsh|fish` has suites and tests completed there.

Exit codes: 0 all passed, 1 a test failed, 2 your command or configuration is wrong,
3 the machine's fault or our bug, 130 interrupted.
"""


def main(arguments: Sequence[str], stdout: TextIO | None, stderr: TextIO | None) -> int:
    """Run one command line with these streams (None: closed) and return its exit code; nothing is raised."""
    err = reliable(stderr, "standard error")

    def complain(sentence: str) -> None:
        err.write(f"trainci: {sentence}\n")
        err.flush()

    out = reliable(stdout, "standard output", complain)
    code = _answer(arguments, out, err)
    out.flush()
    err.flush()
    return code


def _answer(arguments: Sequence[str], stdout: TextIO, stderr: TextIO) -> int:
    name = arguments[0] if arguments else "--help"
    if _COMPLETION in os.environ:
        return _guarded(_complete, stdout, stderr)
    if name in ("-h", "--help"):
        stdout.write(_HELP.format(commands="\n".join(f"  {key:<9} {text}" for key, (_, text) in _COMMANDS.items())))
        return EXIT_OK
    if name == "--version":
        stdout.write(f"trainci {__version__}\n")
        return EXIT_OK
    if name == "--install-completion":
        return _guarded(lambda: _install_completion(*arguments[1:2]), stdout, stderr)
    if name not in _COMMANDS:
        stderr.write(f"trainci: there is no command {name!a}.{_guess(name)} See `trainci --help`.\n")
        return EXIT_USAGE
    return _guarded(lambda: _run_command(name, list(arguments[1:])), stdout, stderr)


def _guess(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, _COMMANDS, n=1)
    return f" Did you mean `trainci {close[0]}`?" if close else ""


def _command(name: str) -> click.Command:
    import importlib

    command: click.Command = importlib.import_module(f"trainci.commands.{_COMMANDS[name][0]}").command
    command.context_settings = {"help_option_names": ["-h", "--help"], **command.context_settings}
    return command


def _run_command(name: str, arguments: list[str]) -> int:
    if name == "run":
        from trainci.commands.earlier_report import remove_earlier

        remove_earlier(arguments)
    command = _command(name)
    # Not command.main, which has an error door of its own.
    with command.make_context(f"trainci {name}", arguments) as context:
        code = command.invoke(context)
    return code if isinstance(code, int) else EXIT_OK


def _complete() -> int:
    from trainci.commands import completion

    commands = completion.Commands({name: text for name, (_, text) in _COMMANDS.items()}, _command)
    return completion.complete(commands, os.environ)


def _install_completion(shell: str = "") -> int:
    from trainci.commands import completion

    return completion.install(shell, os.environ)


def _guarded(work: Callable[[], int], stdout: TextIO, stderr: TextIO) -> int:
    """What ``work`` returns, on these streams; an error becomes its sentence and its exit code."""
    from contextlib import redirect_stderr, redirect_stdout

    import click

    with redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            return work()
        except click.exceptions.Exit as request:
            return request.exit_code
        except click.ClickException as error:
            error.show(stderr)
            # Its own code may be 1, which is a failed test's.
            return EXIT_USAGE
        except TrainciError as error:
            said = str(error) if isinstance(error, PlacedFaults) else f"trainci: {error}"
            stderr.write(f"{_shown(said)}\n")
            return error.exit_code
        except (KeyboardInterrupt, click.Abort):
            stderr.write("trainci: interrupted\n")
            return EXIT_INTERRUPTED
        except Exception as error:
            from trainci.host.files import is_nowhere

            if is_nowhere():
                stderr.write("trainci: the current directory was removed. Go to one that is there.\n")
                return EXIT_USAGE
            if refusal := _refused_by_host(error):
                stderr.write(f"trainci: {_shown(refusal)}\n")
                return EXIT_MACHINE
            import traceback

            stderr.write(traceback.format_exc())
            stderr.write(
                "trainci: this is a bug of trainci, not of your tests. Please report it with the lines above.\n"
            )
            return EXIT_MACHINE


def _refused_by_host(error: Exception) -> str:
    """What the operating system refused, where no room had a sentence of its own for it; else empty."""
    if isinstance(error, OSError) and isinstance(error.filename, (str, bytes)):
        return (
            f"{os.fsdecode(error.filename)}: {error.strerror}. The operating system refused it, and nothing goes "
            "on without it: mend it, or name another place."
        )
    if _is_limit(error):
        said = str(error) or type(error).__name__
        return f"{said}. This host gives trainci no more: look at `ulimit -a`, and at the limits of its container."
    return ""


def _is_limit(error: Exception) -> bool:
    """Whether there is no more of what every program takes: files, memory, processes, threads."""
    if isinstance(error, OSError):
        return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC)
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)


def _shown(said: str) -> str:
    """An error's text; in a job of GitHub's an annotation for each of its lines, at the place that it names."""
    from trainci.github import actions as github

    if not github.in_actions(os.environ):
        return said
    from pathlib import Path

    from trainci.config import find_root

    try:
        return github.annotated(said, github.folder(find_root(Path.cwd()), os.environ))
    except UsageError:
        return github.annotated(said)
