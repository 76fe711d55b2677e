"""Pure: what of an entry's words and variables is a secret by its name or by its look."""

from __future__ import annotations

import json
import re
import shlex
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence

from trainci.model.tests import Entry, Settings

_ALONE = frozenset(
    {"token", "secret", "password", "passwd", "pwd", "passphrase", "apikey", "credential", "credentials"}
)
_BEFORE_KEY = frozenset({"api", "access", "secret", "private", "auth", "account", "signing", "deploy", "ssh"})
# `--eos-token`, `--max-token`: those of a model.
_OF_A_MODEL = frozenset({
    "audio", "bos", "cls", "end", "eos", "eot", "image", "mask", "max", "min", "next", "num", "pad", "per",
    "prompt", "sep", "special", "start", "stop", "think", "unk", "video",
})  # fmt: skip
_NO_SECRET = frozenset({"disabled", "offline", "false", "empty", "dummy"})
_NAMED = re.compile(r"[-+]*([A-Za-z_][\w.-]*)[=:](.+)", re.DOTALL)
# `name = value`, `name: value` or `name value`.
_SET = re.compile(r"""(?<![\w.-])(?=([\w.-]+)["']?(?:[ \t]*[=:][ \t]*|[ \t]+)["']?([^\s"',;]+))""")
_OPTION = re.compile(r"--?([A-Za-z_][\w.-]*)")
_IN_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s/:@]*:([^\s/@]+)@", re.IGNORECASE)
_BEARER = re.compile(r"\b(?:bearer|basic|token)\s+([\w.~+/=-]{8,})", re.IGNORECASE)
# The tokens of Hugging Face, GitHub, GitLab, OpenAI and AWS.
_BY_LOOK = re.compile(
    r"\b(?:hf_\w{16,}|gh[opsu]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|AKIA[0-9A-Z]{16})\b"
)


def given_secrets(settings: Iterable[Settings]) -> set[str]:
    """The values of secrets that stand in ``settings`` themselves: ``--hf-token X``, ``TOKEN=X``, in a URL."""
    found: set[str] = set()
    for one in settings:
        lists: list[Sequence[str]] = [one.setup, (one.install,), [f"{name}={value}" for name, value in one.env]]
        if isinstance(one, Entry):
            lists.append((*one.command, *one.args))
        for words in lists:
            found.update(value for value in _in_words(words) if _is_value(value))
    return found


def secrets_inside(text: str) -> set[str]:
    """The secrets in a secret that is more than one, by their names and places.

    It may be a JSON document (the key of a service account), lines of names and values (.env, INI, YAML, netrc), or
    the URL of a database.
    """
    try:
        return _in_json(json.loads(text))
    except (ValueError, RecursionError):
        pass
    passwords = set(_IN_URL.findall(text))
    found = passwords | {urllib.parse.unquote(one) for one in passwords}
    found |= {value for name, value in _SET.findall(text) if is_secret_name(name)}
    return {value for value in found if _is_value(value)}


def _in_json(said: object) -> set[str]:
    found: set[str] = set()
    left: list[tuple[str, object]] = [("", said)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += value.items()
        elif isinstance(value, list):
            left += [(name, one) for one in value]
        elif isinstance(value, str) and is_secret_name(name) and _is_value(value):
            found.add(value)
    return found


def is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret: ``HF_TOKEN``, ``wandb.api_key``; ``pad_token`` is none."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().replace("-", "_").replace(".", "_").split("_")
    before, last = ["", *parts][-2:]
    alone = last in _ALONE or last.endswith(("password", "passwd", "apikey"))
    return (alone and before not in _OF_A_MODEL) or (last == "key" and before in _BEFORE_KEY)


def _in_words(words: Sequence[str]) -> Iterator[str]:
    flat = [part for word in words for part in _split(word)]
    for word, following in zip(flat, [*flat, ""][1:], strict=True):
        if (named := _NAMED.fullmatch(word)) and is_secret_name(named[1]):
            yield named[2]
        elif (option := _OPTION.fullmatch(word)) and is_secret_name(option[1]) and not following.startswith("-"):
            yield following
    for word in words:
        yield from (found for pattern in (_IN_URL, _BEARER) for found in pattern.findall(word))
        yield from _BY_LOOK.findall(word)


def _split(word: str) -> list[str]:
    """The words of a script, or the one word; what no shell would read is parted at its spaces."""
    if not re.search(r"\s", word):
        return [word]
    try:
        return shlex.split(word)
    except ValueError:
        return word.split()


def _is_value(value: str) -> bool:
    """Long enough that nothing else is masked with it, and no reference to where the secret is."""
    plain = value.strip("'\"")
    if len(plain) < 4 or "$" in plain or "***" in plain or plain.lower() in _NO_SECRET:
        return False
    return not re.fullmatch(r"[a-z]{1,5}|[A-Z]{1,5}|\d{1,5}", plain)
