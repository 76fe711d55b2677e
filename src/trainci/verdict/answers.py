"""Pure: exceptions that only say that what somebody sent is not what was asked for, and why it was not.

A gateway's page is no JSON, half a file no archive, and a library that gets none of it finds no key in what it got:
that a server did not answer as it should stands in another line, near by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from trainci.verdict.hits import PAGE, Hit
from trainci.verdict.last_words import Tail
from trainci.verdict.raised import Chain, Raised

# Libraries that speak to servers, and those that read what came from one.
_CLIENTS = re.compile(
    r"/(?:requests|httpx2?|httpcore2?|urllib3?|aiohttp|botocore|huggingface_hub|modelscope|openai|anthropic|kagglehub"
    r"|gdown|fsspec|gcsfs|s3fs|google|azure|minio|wandb|mlflow)/"
)
_READERS = re.compile(
    r"(?:^|/)(?:json/|xml/|yaml/|gzip\.py|zipfile|tarfile\.py|lzma\.py|zlib|pickle\.py|pyarrow/|safetensors/|pandas/io/"
    r"|torch/(?:serialization|hub)\.py|numpy/lib/)"
)
# What such a library raises itself, of what it was given, is none.
_MISTAKES = re.compile(r"(?:Key|Type|Attribute|Index|Value)Error\b|\w*(?:Decode|Pars)\w*Error\b")
_ASKED_WRONGLY = re.compile(r"unexpected keyword|positional argument")
_OF_SERVERS = frozenset(
    {
        *("hub-error", "hub-rate-limit", "hub-network", "network", "proxy", "dns", "remote-not-reached"),
        *("container-engine", "git-fetch", "package-index", PAGE),
    }
)
_NO_ANSWER = re.compile(r"(?i)\bupload|\bpush(?:ing|ed)?\b|\breport(?:ing)?\b|telemetry")
_OTHERS = re.compile(r"https?://(?!localhost|127\.|0\.0\.0\.0|\[::1\]|[\w-]+[:/])[\w-]+\.")
_NEAR = 40
_ABOVE = 3


def why_unreadable(chain: Chain, raised: Raised, hits: Iterable[Hit], tail: Tail) -> Hit | None:
    """The line by which a server is why ``raised`` was, None where it is not about an answer or none tells."""
    if raised.own or raised.played or not _reads_an_answer(raised):
        return None
    return next((hit for hit in hits if _is_of_server(hit, tail) and _is_near(hit, chain)), None)


def _reads_an_answer(raised: Raised) -> bool:
    if _READERS.search(raised.inner_file):
        return True
    asks = _CLIENTS.search(raised.inner_file) and not _ASKED_WRONGLY.search(raised.text)
    return bool(asks) and _MISTAKES.match(raised.name) is not None


def _is_of_server(hit: Hit, tail: Tail) -> bool:
    if hit.rule.name not in _OF_SERVERS or hit.again or _NO_ANSWER.search(hit.line.text):
        return False
    said = (*tail.before(hit.line.number).lines[-_ABOVE:], hit.line.text)
    return hit.rule.name != PAGE or any(map(_OTHERS.search, said))


def _is_near(hit: Hit, chain: Chain) -> bool:
    """Whether a line is of the output of the same test, or right above the traceback, and no work went on since."""
    if chain.test:
        return hit.captured and 0 < hit.line.number - chain.raised[-1].line <= _NEAR
    return hit.progress == chain.progress and -_NEAR <= hit.line.number - chain.line < 0
