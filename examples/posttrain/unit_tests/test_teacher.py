"""The example's teacher over HTTP, and the client that asks it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from posttrain.arguments import BadArguments
from posttrain.model import load_model
from posttrain.rollout.distillation import ask_teacher
from posttrain.rollout.teacher import Handler, Teacher
from posttrain.sample import Sample
from posttrain.task import assets

pytestmark = pytest.mark.slow  # transformers takes seconds to import

HERE = Path(__file__).parent
CPU = torch.device("cpu")
ASKED = {"sampling_params": {"max_new_tokens": 0}, "return_logprob": True, "logprob_start_len": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("assets") / "tiny"
    assets.ensure(directory)
    return directory / "model"


@pytest.fixture(scope="module")
def teacher(model: Path) -> Teacher:
    return Teacher(model, CPU)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def url(teacher: Teacher) -> Iterator[str]:
    with serving(type("OfTest", (Handler,), {"teacher": teacher})) as address:
        yield address


def scripted(status: int, reply: Callable[[Any], Any]) -> type[BaseHTTPRequestHandler]:
    """Answers each request with what ``reply`` makes of it."""

    class Scripted(Handler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(status, reply(request))

    return Scripted


def sample_of(tokens: list[int], response_length: int) -> Sample:
    return Sample(0, 0, "a question", "#### 3", tokens=tokens, response_length=response_length)


def test_samples_get_the_log_probs_of_their_own_response_tokens(model: Path, url: str) -> None:
    """Each as if it were alone, whatever its neighbours' lengths."""
    samples = [sample_of([3, 4, 5, 6, 7], 2), sample_of([9, 8, 7], 1), sample_of([5, 6, 7, 8, 9, 10, 11], 4)]
    ask_teacher(f"{url}/generate", samples)
    student = load_model(model, CPU)
    for sample in samples:
        tokens = torch.tensor(sample.tokens)
        with torch.no_grad():
            all_log_probs = torch.log_softmax(student(tokens.unsqueeze(0)).logits[0], dim=-1)
        places = range(len(tokens) - sample.response_length, len(tokens))
        expected = [all_log_probs[place - 1, tokens[place]].item() for place in places]
        assert sample.teacher_log_probs == pytest.approx(expected, abs=1e-5)


def test_one_sequence_is_answered_in_the_form_of_sglang(url: str) -> None:
    body = json.dumps({"input_ids": [3, 1, 4], **ASKED}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/generate", body)) as reply:
        assert reply.status == 200
        answer = json.load(reply)
    entries = answer["meta_info"]["input_token_logprobs"]
    assert (answer["meta_info"]["prompt_tokens"], answer["meta_info"]["completion_tokens"]) == (3, 0)
    assert [(token, text) for _, token, text in entries] == [(3, None), (1, None), (4, None)]
    assert entries[0][0] is None
    assert all(log_prob < 0 for log_prob, *_ in entries[1:])
    with urllib.request.urlopen(f"{url}/health") as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("[]", "needs input_ids"),
        ("no json", "Expecting value"),
        (json.dumps({"text": "1 + 2", **ASKED}), "needs input_ids"),
        (json.dumps({"input_ids": [[1], []], **ASKED}), "needs input_ids"),
        (json.dumps({"input_ids": [1, 1000], **ASKED}), "token 1000: the vocabulary has the numbers 0 to"),
        (json.dumps({"input_ids": [1, "2"], **ASKED}), "token '2'"),
        (json.dumps({"input_ids": [1], **ASKED, "sampling_params": {"max_new_tokens": 8}}), "max_new_tokens 0"),
        (json.dumps({"input_ids": [1], **ASKED, "return_logprob": False}), "return_logprob true"),
    ],
)
def test_what_the_server_cannot_do_is_status_400_and_a_sentence(url: str, request_: str, said: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(f"{url}/generate", request_.encode()))
    assert caught.value.code == 400
    assert said in json.load(caught.value)["error"]["message"]


def test_a_request_without_a_length_is_answered(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:
        link.sendall(b"POST /generate HTTP/1.0\r\n\r\n")
        assert link.makefile("rb").readline().split()[1] == b"400"


def test_another_path_is_status_404(url: str) -> None:
    for request in (f"{url}/other", urllib.request.Request(f"{url}/other", b"{}")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert caught.value.code == 404


def test_what_it_cannot_start_with_is_a_sentence(model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        for arguments, said in (
            (["--port", port], "arguments are required: --model-path"),
            (["--model-path", "/no/such"], "arguments are required: --port"),
            (["--model-path", "/no/such", "--port", port], "--model-path /no/such is no directory"),
            (
                ["--model-path", str(model), "--port", port],
                f"cannot listen on 127.0.0.1:{port}: Address already in use",
            ),
        ):
            command = [sys.executable, "-m", "posttrain.rollout.teacher", *arguments]
            ended = subprocess.run(
                command, cwd=HERE.parent, capture_output=True, text=True, timeout=120, check=False
            )
            assert (ended.returncode, said in ended.stderr) == (2, True), ended.stderr


def test_a_teacher_that_is_still_loading_is_waited_for(monkeypatch: pytest.MonkeyPatch, teacher: Teacher) -> None:
    """The server begins to listen when the client has been refused, and pauses, for the first time."""
    with serving(type("OfTest", (Handler,), {"teacher": teacher})) as address:
        port = int(address.rpartition(":")[2])
    started: list[Any] = []

    def listen(_seconds: float) -> None:
        if not started:
            started.append(
                ThreadingHTTPServer(("127.0.0.1", port), type("OfTest", (Handler,), {"teacher": teacher}))
            )
            threading.Thread(target=started[0].serve_forever, daemon=True).start()

    monkeypatch.setattr("posttrain.rollout.distillation.time.sleep", listen)
    samples = [sample_of([3, 4, 5], 1)]
    ask_teacher(f"{address}/generate", samples)
    started[0].shutdown()
    started[0].server_close()
    assert len(started) == 1
    assert len(samples[0].teacher_log_probs or []) == 1


def test_a_teacher_that_never_listens_is_named_with_the_way_out() -> None:
    silent = socket.socket()  # bound, so that nobody else gets its port
    silent.bind(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{silent.getsockname()[1]}"
    began = time.monotonic()
    said = "refused connections for 0 s; .* python -m posttrain.rollout.teacher"
    message = f"--teacher-url {address}/generate {said}"
    with pytest.raises(BadArguments, match=message):
        ask_teacher(f"{address}/generate", [sample_of([3, 4], 1)], patience=0.3)
    assert time.monotonic() - began >= 0.3
    silent.close()


@pytest.mark.parametrize(
    ("status", "reply", "said"),
    [
        (503, lambda _: {"error": "overloaded"}, 'refused the request with status 503: {"error": "overloaded"}'),
        (200, lambda _: [{"text": "Hello"}], "does not answer as sglang's /generate: [{'text': 'Hello'}]"),
        (200, lambda _: {"text": "Hello"}, "does not answer as sglang's /generate: {'text': 'Hello'}"),
        (
            200,
            lambda _: [{"meta_info": {"input_token_logprobs": [[None, 3, None]]}}],
            "answered for other tokens than it was asked for",
        ),
    ],
)
def test_a_wrong_answer_is_named(status: int, reply: Callable[[Any], Any], said: str) -> None:
    with serving(scripted(status, reply)) as address, pytest.raises(BadArguments) as caught:
        ask_teacher(f"{address}/generate", [sample_of([3, 4], 1)])
    assert str(caught.value).startswith(f"--teacher-url {address}/generate ")
    assert said in str(caught.value)


def test_a_url_without_http_is_named() -> None:
    with pytest.raises(BadArguments, match=re.escape("it should read http://HOST:PORT/generate")):
        ask_teacher("here:13141/generate?", [sample_of([3, 4], 1)])
