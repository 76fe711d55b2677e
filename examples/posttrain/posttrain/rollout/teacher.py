"""A teacher behind HTTP: ``python -m posttrain.rollout.teacher --model-path DIR --port 13141``.

Speaks the part of sglang's interface that distillation needs (docs.sglang.io, "SGLang Native APIs"), so that an
sglang server takes its place where there is one. ``GET /health`` answers 200. ``POST /generate`` takes::

    {"input_ids": [3, 1, 4], "sampling_params": {"max_new_tokens": 0},
     "return_logprob": true, "logprob_start_len": 0}

and gives ``{"meta_info": {"input_token_logprobs": [[logprob, token, text], …], …}, …}`` with one entry a token; for
a list of lists it gives a list. The first logprob is null, nothing comes before it; text is null, as it is at
sglang unless asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from posttrain.model import load_model
from posttrain.training.grpo import token_log_probs


class BadRequest(ValueError):
    """The text is for whoever sent it."""


class Teacher:
    """A model that only judges. It sees one request at a time."""

    def __init__(self, model_path: Path, device: torch.device):
        self._model = load_model(model_path, device)
        self._vocabulary = self._model.get_input_embeddings().num_embeddings
        self._device = device
        self._lock = threading.Lock()

    def answer(self, request: Any) -> Any:
        """The reply to one ``/generate`` request.

        :raises BadRequest: it asks for something else than the log-probabilities of known tokens.
        """
        rows = _rows_of(request)
        for row in rows:
            for token in row:
                if not isinstance(token, int) or not 0 <= token < self._vocabulary:
                    raise BadRequest(f"token {token!r}: the vocabulary has the numbers 0 to {self._vocabulary - 1}")
        replies = [_reply(row, log_probs) for row, log_probs in zip(rows, self._log_probs(rows), strict=True)]
        return replies if isinstance(request["input_ids"][0], list) else replies[0]

    @torch.no_grad()
    def _log_probs(self, rows: list[list[int]]) -> list[list[float]]:
        """Of each token after the first, at temperature 1."""
        width = max(map(len, rows))
        # Padding on the right needs no mask: causal attention looks to the left.
        tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self._device)
        with self._lock:
            logits = self._model(tokens, use_cache=False).logits
        scores = token_log_probs(logits[:, :-1], tokens[:, 1:], temperature=1.0).tolist()
        return [line[: len(row) - 1] for line, row in zip(scores, rows, strict=True)]


def _rows_of(request: Any) -> list[list[int]]:
    try:
        ids, new = request["input_ids"], request["sampling_params"]["max_new_tokens"]
        rows = ids if isinstance(ids[0], list) else [ids]
        complete = all(isinstance(row, list) and row for row in rows)
    except (KeyError, TypeError, IndexError):
        complete = False
    if not complete:
        raise BadRequest(
            "this server needs input_ids (tokens, or lists of them) and sampling_params.max_new_tokens"
        )
    if new != 0 or request.get("return_logprob") is not True or request.get("logprob_start_len") != 0:
        raise BadRequest("this server only gives max_new_tokens 0, return_logprob true and logprob_start_len 0")
    return rows  # type: ignore[no-any-return]


def _reply(row: list[int], log_probs: list[float]) -> dict[str, Any]:
    entries = [[value, token, None] for value, token in zip([None, *log_probs], row, strict=True)]
    meta = {"input_token_logprobs": entries, "prompt_tokens": len(row), "completion_tokens": 0}
    return {"text": "", "meta_info": meta}


class Handler(BaseHTTPRequestHandler):
    """The HTTP side of ``teacher``."""

    teacher: Teacher

    def do_GET(self) -> None:
        known = self.path == "/health"
        self._send(200 if known else 404, {} if known else _error(f"no {self.path}: there is /health"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/generate":
            self._send(404, _error(f"no {self.path}: there is /generate"))
            return
        try:
            self._send(200, self.teacher.answer(json.loads(body)))
        except ValueError as error:
            self._send(400, _error(str(error)))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if code != 200:
            super().log_request(code, size)

    def _send(self, status: int, reply: Any) -> None:
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def main() -> None:
    """Serve until ended by a signal."""
    parser = argparse.ArgumentParser(description="Serve a model's log-probabilities, as sglang does.")
    parser.add_argument("--model-path", type=Path, required=True, help="a transformers checkpoint directory")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    if not options.model_path.is_dir():
        parser.error(f"--model-path {options.model_path} is no directory")
    Handler.teacher = Teacher(options.model_path, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        server = ThreadingHTTPServer((options.host, options.port), Handler)
    except OSError as error:
        parser.error(f"cannot listen on {options.host}:{options.port}: {error.strerror}; choose another --port")
    sys.stderr.write(f"the teacher {options.model_path} listens on http://{options.host}:{options.port}\n")
    server.serve_forever()


if __name__ == "__main__":
    main()
