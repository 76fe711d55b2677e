"""A run as OpenTelemetry, to a collector that really listens, and to none."""

from __future__ import annotations

import contextlib
import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from support import serving

pytestmark = pytest.mark.slow

PASSES = "NUM_GPUS = 0\nif __name__ == '__main__':\n    print('fine')\n"
FAILS = "NUM_GPUS = 1\nif __name__ == '__main__':\n    assert 0, 'no'\n"


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if answer := self.server.answer:  # type: ignore[attr-defined]
            answer(self)
            return
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        self.server.taken[self.path] = data  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def collector() -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    server.taken, server.answer = {}, None  # type: ignore[attr-defined]
    with serving(server):
        yield server


@pytest.fixture
def project(repository: Any) -> Any:
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", PASSES)
    repository.write("tests/test_b.py", FAILS)
    return repository


def words(span: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def test_spans_and_metrics_have_the_names_of_the_conventions(project: Any, collector: Any) -> None:
    job = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7"}
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}", **job}
    said = project.trainci("run", "tests/*.py", "--devices", "cpu:1", environment=environment)
    assert said.code == 1 and "not taken" not in said.err, said.err
    request = ExportTraceServiceRequest.FromString(collector.taken["/v1/traces"])
    spans = {s.name: s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans}
    run, red = spans["RUN trainci"], spans["tests/test_b.py"]
    assert (words(run)["cicd.pipeline.result"], words(run)["error.type"]) == ("failure", "assertion")
    assert (run.kind, run.status.code) == (Span.SPAN_KIND_SERVER, Status.STATUS_CODE_ERROR)
    resource = words(request.resource_spans[0].resource)
    assert resource["cicd.pipeline.name"] == "trainci" and resource["cicd.pipeline.run.id"]
    assert resource["cicd.pipeline.run.url.full"] == "https://github.com/o/r/actions/runs/7"
    assert words(red)["cicd.pipeline.task.run.id"] == f"{resource['cicd.pipeline.run.id']}/tests/test_b.py"
    assert words(red)["cicd.pipeline.task.run.url.full"] == "https://github.com/o/r/actions/runs/7"
    assert words(red)["error.type"] == "assertion" and "error.type" not in words(spans["tests/test_a.py"])
    assert red.parent_span_id == run.span_id and spans["attempt 1"].parent_span_id
    assert words(red)["test.case.result.status"] == "fail" and red.status.message == "AssertionError: no"
    assert words(spans["tests/test_a.py"])["cicd.pipeline.task.run.result"] == "success"
    assert run.start_time_unix_nano <= red.start_time_unix_nano < red.end_time_unix_nano <= run.end_time_unix_nano
    metrics = ExportMetricsServiceRequest.FromString(collector.taken["/v1/metrics"])
    duration, errors = (m for r in metrics.resource_metrics for scope in r.scope_metrics for m in scope.metrics)
    assert (duration.name, duration.unit) == ("cicd.pipeline.run.duration", "s")
    assert (errors.name, errors.unit) == ("cicd.pipeline.run.errors", "{error}")
    (counted,) = errors.sum.data_points
    assert (counted.as_int, words(counted)["error.type"]) == (1, "assertion")
    assert "cicd.pipeline.run.id" not in words(metrics.resource_metrics[0].resource)


FLAKES = """import pathlib
NUM_GPUS = 0
if __name__ == '__main__':
    if not pathlib.Path('seen').exists():
        pathlib.Path('seen').touch()
        raise SystemExit(1)
"""


def test_a_flake_that_fails_no_run_is_a_success_and_an_excused_failure_fails_no_pipeline(
    project: Any, collector: Any
) -> None:
    excuse = '[[quarantine]]\ntest = "tests/test_b.py"\nowner = "ana"\nreason = "known"\nuntil = 2999-01-01\n'
    project.write("trainci.toml", f"[project]\nretries = 1\n{excuse}")
    project.write("tests/test_c.py", FLAKES)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
    said = project.trainci("run", "tests/*.py", "--devices", "cpu:1", environment=environment)
    assert said.code == 0, said
    request = ExportTraceServiceRequest.FromString(collector.taken["/v1/traces"])
    spans = {s.name: s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans}
    assert words(spans["RUN trainci"])["cicd.pipeline.result"] == "success"
    flake, excused = spans["tests/test_c.py"], spans["tests/test_b.py"]
    assert words(flake)["trainci.verdict"] == "flaky" and flake.status.code == 0
    assert words(flake)["cicd.pipeline.task.run.result"] == "success"
    assert words(flake)["test.case.result.status"] == "pass"
    assert words(excused)["test.case.result.status"] == "fail"


@pytest.mark.parametrize(("variable", "path"), [("TRACES", "/v1/traces"), ("METRICS", "/v1/metrics")])
def test_a_collector_of_one_of_them_is_sent_no_other(
    project: Any, collector: Any, variable: str, path: str
) -> None:
    place = f"http://127.0.0.1:{collector.server_port}{path}"
    environment = {f"OTEL_EXPORTER_OTLP_{variable}_ENDPOINT": place}
    said = project.trainci("run", "tests/test_a.py", environment=environment)
    assert (said.code, said.err) == (0, "")
    assert list(collector.taken) == [path]


def test_a_collector_that_is_not_there_costs_a_sentence_and_no_verdict(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainci.reports.otel._PATIENCE_S", 0.5)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    said = project.trainci("run", "tests/test_a.py", environment=environment)
    assert said.code == 0
    assert [line for line in said.err.splitlines() if line] == [
        line for line in said.err.splitlines() if line.startswith("trainci: spans and metrics were not taken")
    ]
    assert said.err


def status(code: int) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Retry-After", "60")
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.mark.parametrize("code", [302, 307, 401, 429, 500, 503])
def test_a_collector_that_refuses_is_told_and_costs_no_verdict(project: Any, collector: Any, code: int) -> None:
    collector.answer = status(code)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
    said = project.trainci("run", "tests/test_a.py", environment=environment)
    assert said.code == 0
    assert said.err.startswith(f"trainci: spans and metrics were not taken: the answer was {code}"), said.err
    assert said.err.count("\n") == 1


def test_an_answer_that_never_ends_is_not_waited_for(
    project: Any, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte of it comes in time."""
    monkeypatch.setattr("trainci.reports.otel._PATIENCE_S", 1.0)
    over = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not over.wait(0.05):
                handler.wfile.write(b" ")

    collector.answer = answer
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
    try:
        said = project.trainci("run", "tests/test_a.py", environment=environment)
    finally:
        over.set()
    assert said.code == 0 and "nobody took all of it within 1 s" in said.err


def test_a_collector_that_is_spoken_to_in_grpc_alone_is_told(project: Any, collector: Any) -> None:
    place = f"http://127.0.0.1:{collector.server_port}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": place, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    said = project.trainci("run", "tests/test_a.py", environment=environment)
    assert (said.code, collector.taken) == (0, {}) and "http/protobuf" in said.err


def test_a_setting_that_is_none_is_told(project: Any, collector: Any) -> None:
    place = f"http://127.0.0.1:{collector.server_port}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": place, "OTEL_SPAN_EVENT_COUNT_LIMIT": "many"}
    said = project.trainci("run", "tests/test_a.py", environment=environment)
    assert said.code == 0 and "OTEL_SPAN_EVENT_COUNT_LIMIT" in said.err, said.err


def test_without_the_extra_it_says_which_to_install(project: Any) -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from trainci.model.run import Run\nfrom trainci.reports.otel import export\n"
        "export(Run('r', '', 0.0, 1.0, (), 'no GPU', 0), {})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'trainci[otel]'" in done.stderr


def test_where_nobody_asks_for_them_no_library_of_theirs_is_imported() -> None:
    program = (
        "import sys, trainci.commands.run\nassert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
