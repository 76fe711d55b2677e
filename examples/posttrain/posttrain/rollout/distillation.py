"""Asks a teacher how likely it finds the tokens of samples: the client of sglang's ``/generate``."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from posttrain.arguments import BadArguments
from posttrain.sample import Sample

PATIENCE = 120.0
"""Seconds for which a teacher may refuse connections: it may still be loading."""
_FORM = "http://HOST:PORT/generate"
_PAUSE = 0.2
_TIMEOUT = 600.0


def ask_teacher(url: str, samples: list[Sample], patience: float = PATIENCE) -> None:
    """Fill ``teacher_log_probs`` of all ``samples`` with one request; ``url`` ends in ``/generate``.

    :raises BadArguments: the teacher cannot be reached within ``patience`` seconds, refuses the request, or
        answers for other tokens.
    """
    request = {
        "input_ids": [sample.tokens for sample in samples],
        "sampling_params": {"max_new_tokens": 0, "temperature": 0},
        "return_logprob": True,
        "logprob_start_len": 0,
    }
    replies = _post_once_it_listens(url, request, patience)
    try:
        answers = [reply["meta_info"]["input_token_logprobs"] for reply in replies]
        told = [[token for _, token, *_ in answer] for answer in answers]
    except (KeyError, TypeError, ValueError):
        raise BadArguments(
            f"--teacher-url {url} does not answer as sglang's /generate: {str(replies)[:200]}"
        ) from None
    if told != request["input_ids"]:
        raise BadArguments(f"--teacher-url {url} answered for other tokens than it was asked for")
    for sample, answer in zip(samples, answers, strict=True):
        response = answer[len(sample.tokens) - sample.response_length :]
        sample.teacher_log_probs = [log_prob for log_prob, *_ in response]


def _post_once_it_listens(url: str, request: Any, patience: float) -> Any:
    ends = time.monotonic() + patience
    while True:
        try:
            return _post(url, request)
        except ConnectionRefusedError:
            if time.monotonic() >= ends:
                raise BadArguments(
                    f"--teacher-url {url} refused connections for {patience:.0f} s; start the teacher, for example "
                    "with: python -m posttrain.rollout.teacher --model-path DIRECTORY --port PORT"
                ) from None
            time.sleep(_PAUSE)


def _post(url: str, request: Any) -> Any:
    """:raises ConnectionRefusedError: nothing listens there."""
    body = json.dumps(request).encode()
    try:
        message = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(message, timeout=_TIMEOUT) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        said = error.read(1000).decode(errors="replace")
        raise BadArguments(f"--teacher-url {url} refused the request with status {error.code}: {said}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionRefusedError):
            raise reason from None
        raise BadArguments(f"--teacher-url {url} cannot be reached: {reason}; it should read {_FORM}") from None
    except ValueError as error:
        raise BadArguments(f"--teacher-url {url}: {error}; it should read {_FORM}") from None
