"""Pure: what the arguments of a call in Python say: its command, the script for a shell, a constant."""

from __future__ import annotations

import ast

from trainci.catalog.command_words import SETS_UP
from trainci.catalog.names import Names

# Words that begin a command which runs tests or training, and those of what only prepares or cleans up.
RUNS_TESTS = (
    "python",
    "python3",
    "pytest",
    "torchrun",
    "accelerate",
    "deepspeed",
    "bash",
    "sh",
    "uv",
    "mpirun",
    "srun",
)
CLEANS_UP = (SETS_UP | {"docker", "ray", "which"}) - {"conda", "env", "eval", "mamba", "sudo", "uv"}
_SHELLS = ("bash", "sh")


def shell_text(call: ast.Call, file: Names) -> str:
    """The script that a call gives to a shell; empty for none, and for one that is made at run time."""
    first = call.args[0] if call.args else None
    by_shell = file.name(call.func) in ("os.system", "subprocess.getoutput") or keyword_of(call, "shell") is True
    if by_shell and first is not None:
        return text_of(first)
    if isinstance(first, (ast.List, ast.Tuple)) and len(first.elts) == 3:
        program, option, text = map(text_of, first.elts)
        if program.rpartition("/")[2] in _SHELLS and option.startswith("-") and option.endswith("c"):
            return f"set {option.removesuffix('c')}\n{text}" if option != "-c" else text
    return ""


def text_of(node: ast.expr) -> str:
    """A constant text, with an `x` for each part that is put in at run time."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.FormattedValue):
        return "x"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def keyword_of(call: ast.Call, name: str, absent: object = None) -> object:
    """The constant that a call passes by this name: ``absent`` for none, True for what is no constant."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value.value if isinstance(keyword.value, ast.Constant) else True
    return absent


def first_word(call: ast.Call, file: Names) -> str:
    """The program that a command begins with: ``python`` for ``sys.executable``, empty for what is no constant."""
    node: ast.expr | None = call.args[0] if call.args else None
    if isinstance(node, ast.Name):
        node = file.constants.get(node.id, node)
    while (inner := _begins_with(node)) is not None:
        node = inner
    if node is not None and file.name(node) == "sys.executable":
        return "python"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split():
        return node.value.split()[0].rpartition("/")[2]
    return ""


def _begins_with(node: ast.expr | None) -> ast.expr | None:
    """The first part of a text or list that is put together; None for what is in one piece."""
    match node:
        case ast.BinOp(left=first) | ast.List(elts=[first, *_]) | ast.Tuple(elts=[first, *_]):
            return first
        case ast.JoinedStr(values=[first, *_]) | ast.Call(func=ast.Attribute(attr="join"), args=[first]):
            return first
        case ast.Call(func=ast.Attribute(attr="format", value=first)):
            return first
    return None


def runs_tests(call: ast.Call, file: Names) -> bool:
    """Whether the command of a call begins with what runs tests or training."""
    return first_word(call, file) in RUNS_TESTS
