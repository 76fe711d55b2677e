"""Pure: which failures of what it starts a program deals with by itself, by its own text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from trainci.catalog.expects_failure import expects_failure, shell_expects_failure
from trainci.catalog.shell.state import unquoted
from trainci.catalog.shell.tree import AndOr, Function, Group, If, Loop, Node, Pipeline, Simple, every_node
from trainci.catalog.statements import all_parts
from trainci.model.tests import Expects

_SHORTEST = 5
_MOST_TEXTS = 50
_STARTS = {"run", "call", "check_call", "check_output", "Popen", "system", "Process", "communicate", "wait"}
_GREPS = ("grep", "egrep", "fgrep", "rg")
_LEAVES = ("break", "exit", "return")


def expects(tree: ast.AST, *, by_framework: bool = False) -> Expects:
    """What a program of Python's says; ``by_framework``: its tests are run by one, which judges them."""
    again = any(_tries_again(node) for node in all_parts(tree) if isinstance(node, (ast.For, ast.While)))
    return Expects(expects_failure(tree, by_framework=by_framework), again, _texts(_looked_for(tree)))


def shell_expects(script: Sequence[Node], text: str, *, failure: bool) -> Expects:
    """What the script ``text`` says; ``failure``: the walk through it found a command that must fail."""
    nodes = list(every_node(script))
    refuses = any(isinstance(node, Pipeline) and node.negated for node in _stand_alone(script))
    again = any(_shell_tries_again(node) for node in nodes)
    words = (word for node in nodes if isinstance(node, Simple) for word in _grepped(node.words))
    return Expects(failure or refuses or shell_expects_failure(text), again, _texts(words))


def _texts(found: Iterator[str]) -> tuple[str, ...]:
    known = dict.fromkeys(text.strip("*^$.") for text in found)
    return tuple(text for text in known if len(text) >= _SHORTEST)[:_MOST_TEXTS]


def _tries_again(loop: ast.For | ast.While) -> bool:
    """It starts a process in each round, and leaves by one that is good."""
    parts = [part for statement in loop.body for part in all_parts(statement)]
    leaves = any(isinstance(part, (ast.Break, ast.Return)) for part in parts) or isinstance(loop, ast.While)
    return leaves and any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in _STARTS
        for part in parts
    )


def _looked_for(tree: ast.AST) -> Iterator[str]:
    for node in all_parts(tree):
        match node:
            case ast.Compare(left=ast.Constant(value=str(text)), ops=[ast.In()]):
                yield text
            case ast.Call(
                func=ast.Attribute(attr="assertIn" | "search" | "match" | "assertRegex"), args=[*_, _] as given
            ):
                yield from (
                    one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )
            case ast.keyword(arg="match", value=ast.Constant(value=str(text))):
                yield text


def _stand_alone(nodes: Sequence[Node]) -> Iterator[Node]:
    """What is no condition: each command of a list, and what follows one."""
    for node in nodes:
        yield node
        if isinstance(node, AndOr):
            yield from _stand_alone([node.left, node.right])
        elif isinstance(node, Group):
            yield from _stand_alone(node.body)
        elif isinstance(node, Function):
            yield from _stand_alone([node.body])
        elif isinstance(node, If):
            yield from _stand_alone([one for _, body in node.branches for one in body])
            yield from _stand_alone(node.otherwise)
        elif isinstance(node, Loop):
            yield from _stand_alone(node.body)


def _shell_tries_again(node: Node) -> bool:
    """A loop that a good command leaves, or a program after `||` that has been tried before it."""
    if isinstance(node, AndOr) and node.operator == "||":
        left, right = (_program(side) for side in (node.left, node.right))
        return bool(left) and left == right
    if not isinstance(node, Loop):
        return False
    left_by = (one for one in every_node(node.body) if isinstance(one, Simple) and one.words[:1])
    return bool(node.condition) or any(
        one.words[0] in _LEAVES and one.words[1:2] in ((), ("0",)) for one in left_by
    )


def _program(node: Node) -> tuple[str, ...]:
    """The program that a command starts, without its options and values."""
    if isinstance(node, AndOr):
        node = node.right
    return node.words[:2] if isinstance(node, Simple) and len(node.words) > 1 else ()


def _grepped(words: Sequence[str]) -> Iterator[str]:
    if words[:1] and words[0] in _GREPS:
        yield from (unquoted(word) for word in words[1:] if not word.startswith("-"))
    elif words[:1] and words[0] in ("[[", "[", "test"):
        # `[[ $out == *"no device"* ]]`
        yield from (re.sub(r"[\"'*]", "", word) for word in words[1:] if not word.startswith(("-", "$", '"$')))
