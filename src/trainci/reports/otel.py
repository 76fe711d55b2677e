"""A run as OpenTelemetry spans and metrics, over OTLP (HTTP) to wherever the environment says.

Names: https://opentelemetry.io/docs/specs/semconv/cicd/ and its registry of attributes. The libraries are an extra
(``trainci[otel]``), and where the spans go is said by the variables of
https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trainci import __version__
from trainci.errors import EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, MachineError
from trainci.github.actions import job_url
from trainci.model.run import Attempt, Outcome, Result, Run
from trainci.reports.reason import reason, red
from trainci.verdict.decide import fails

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

_BOTH = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_METRICS = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
# How long a run that has ended waits for a collector, and for one answer of it.
_PATIENCE_S = 10
_OF_ONE_ANSWER = 0.4
# Collectors take requests of some MiB.
_SPANS_OF_A_REQUEST = 2000
_REDIRECTIONS = range(300, 400)
# Of the pipeline, and of what it does (one of the words of cicd.pipeline.action.name).
_NAME, _ACTION = "trainci", "RUN"
_PIPELINES = {EXIT_OK: "success", EXIT_MACHINE: "error", EXIT_INTERRUPTED: "cancellation"}
_RESULTS = {
    Outcome.SKIPPED: "skip",
    Outcome.TIMED_OUT: "timeout",
    Outcome.INTERRUPTED: "cancellation",
    Outcome.MACHINE: "error",
    Outcome.REFUSED: "error",
}


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether somebody said where spans or metrics go."""
    return any(environment.get(name) for name in (_BOTH, _TRACES, _METRICS))


def load() -> None:
    """Import what ``export`` needs: an upgrade may take it away while a run goes on.

    :raises MachineError: the extra is not installed.
    """
    try:
        import opentelemetry.exporter.otlp.proto.http.metric_exporter
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export.in_memory_span_exporter  # noqa: F401
        import requests  # noqa: F401
    except ImportError as error:
        raise MachineError(
            f"spans are asked for, and {error.name} is missing: pip install 'trainci[otel]'."
        ) from None


def export(run: Run, environment: Mapping[str, str]) -> None:
    """Send the run as a trace (a span a test, below it one an attempt), and its duration and errors as metrics.

    Each only where ``environment`` says to: a collector of traces alone takes no metrics.

    :raises MachineError: the extra is not installed, what the environment says is wrong, or no server took it in
        time.
    """
    load()
    if environment.get(_PROTOCOL) == "grpc":
        raise MachineError(
            f"spans and metrics are not sent: {_PROTOCOL} is grpc, and trainci speaks http/protobuf."
        )
    # Its exporters tell of a failure in many lines; we do so in one.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    wrong: list[str] = []
    try:
        spans = _spans(run, environment) if environment.get(_BOTH) or environment.get(_TRACES) else ()
        metrics = _metrics(run) if environment.get(_BOTH) or environment.get(_METRICS) else None
    except ValueError as error:
        raise MachineError(f"spans and metrics cannot be made: {error} (the variables OTEL_…).") from None
    # An answer that never comes to its end has no limit of time in any library.
    sending = threading.Thread(target=lambda: wrong.extend(_send(spans, metrics, environment)), daemon=True)
    sending.start()
    sending.join(_PATIENCE_S)
    if sending.is_alive():
        wrong = [f"nobody took all of it within {_PATIENCE_S:g} s"]
    if wrong:
        raise MachineError(f"spans and metrics were not taken: {wrong[0]} (the variables OTEL_EXPORTER_OTLP_…).")


def _send(spans: Sequence[ReadableSpan], metrics: MetricsData | None, environment: Mapping[str, str]) -> list[str]:
    """What went wrong."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics.export import MetricExportResult
    from opentelemetry.sdk.trace.export import SpanExportResult

    codes: list[int] = []
    session = None
    if not any(name.endswith("_CREDENTIAL_PROVIDER") for name in environment):
        session = requests.Session()
        session.hooks["response"].append(lambda answer, **_: codes.append(answer.status_code))
    timeout = _PATIENCE_S * _OF_ONE_ANSWER
    taken: list[bool] = []
    try:
        for start in range(0, len(spans), _SPANS_OF_A_REQUEST):
            some = spans[start : start + _SPANS_OF_A_REQUEST]
            result = OTLPSpanExporter(timeout=timeout, session=session).export(some)
            taken.append(result is SpanExportResult.SUCCESS)
        if metrics:
            told = OTLPMetricExporter(timeout=timeout, session=session).export(metrics)
            taken.append(told is MetricExportResult.SUCCESS)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    # A redirection, which is not followed, is a success to the exporters.
    if all(taken) and not any(code in _REDIRECTIONS for code in codes):
        return []
    return [f"the answer was {codes[-1]}" if codes else "nobody answered"]


def _resource(said: Mapping[str, str]) -> Resource:
    from opentelemetry.sdk.resources import Resource

    known = {name: value for name, value in said.items() if value}
    return Resource.create({"service.name": "trainci", "service.version": __version__, **known})


def _spans(run: Run, environment: Mapping[str, str]) -> Sequence[ReadableSpan]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    url = job_url(environment)
    said = {"vcs.ref.head.revision": run.commit, "cicd.pipeline.run.url.full": url}
    resource = _resource({"cicd.pipeline.name": _NAME, "cicd.pipeline.run.id": run.id, **said})
    made = InMemorySpanExporter()
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(made))
    _trace(run, url, tracers.get_tracer("trainci", __version__))
    return made.get_finished_spans()


def _metrics(run: Run) -> MetricsData | None:
    """Without what is of one run alone, which would make a series of each."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    measured = InMemoryMetricReader()
    meters = MeterProvider(resource=_resource({}), metric_readers=[measured], shutdown_on_exit=False)
    meter = meters.get_meter("trainci", __version__)
    duration = meter.create_histogram("cicd.pipeline.run.duration", "s")
    of_run = {"cicd.pipeline.name": _NAME, "cicd.pipeline.run.state": "executing", **_ended(run)}
    duration.record(run.ended_at - run.started_at, of_run)
    errors = meter.create_counter("cicd.pipeline.run.errors", "{error}")
    for kind, count in Counter(_error(result) for result in run.results if fails(result)).items():
        errors.add(count, {"cicd.pipeline.name": _NAME, "error.type": kind})
    return measured.get_metrics_data()


def _trace(run: Run, url: str, tracer: Tracer) -> None:
    from opentelemetry import trace

    root = tracer.start_span(
        f"{_ACTION} {_NAME}",
        kind=trace.SpanKind.SERVER,
        start_time=_nanoseconds(run.started_at),
        attributes={"cicd.pipeline.action.name": _ACTION, "trainci.devices": run.devices, **_ended(run)},
    )
    within = trace.set_span_in_context(root)
    for result in run.results:
        start = result.attempts[0].queued_at if result.attempts else run.ended_at
        end = result.attempts[-1].ended_at if result.attempts else run.ended_at
        said = _of_test(result) | {"cicd.pipeline.task.run.id": f"{run.id}/{result.test_id}"}
        if url:
            said["cicd.pipeline.task.run.url.full"] = url
        test = tracer.start_span(result.test_id, within, start_time=_nanoseconds(start), attributes=said)
        below = trace.set_span_in_context(test)
        for attempt in result.attempts:
            name, begin = f"attempt {attempt.number}", _nanoseconds(attempt.queued_at)
            one = tracer.start_span(name, below, start_time=begin, attributes=_of_attempt(attempt))
            if attempt.started_at is not None:
                one.add_event("started", timestamp=_nanoseconds(attempt.started_at))
            one.end(_nanoseconds(attempt.ended_at))
        if fails(result):
            test.set_status(trace.Status(trace.StatusCode.ERROR, reason(result.verdict)))
        test.end(_nanoseconds(end))
    if run.exit_code != EXIT_OK:
        root.set_status(trace.Status(trace.StatusCode.ERROR))
    root.end(_nanoseconds(run.ended_at))


def _ended(run: Run) -> dict[str, str]:
    """How the run ended, and the kind of its most important error."""
    said = {"cicd.pipeline.result": _PIPELINES.get(run.exit_code, "failure")}
    if said["cicd.pipeline.result"] in ("failure", "error"):
        said["error.type"] = next((_error(result) for result in red(run) if fails(result)), "_OTHER")
    return said


def _error(result: Result) -> str:
    """Its kind, of which there are not many: the rule that knows it, else what became of the test."""
    verdict = result.verdict
    return verdict.diagnosis.rule if verdict.diagnosis else verdict.outcome.value


def _of_test(result: Result) -> dict[str, str]:
    outcome = result.verdict.outcome
    passed = outcome is Outcome.PASSED or (outcome is Outcome.FLAKY and not fails(result))
    said = {
        "test.case.name": result.test_id,
        "cicd.pipeline.task.name": result.test_id,
        "cicd.pipeline.task.type": "test",
        "cicd.pipeline.task.run.result": "success" if passed else _RESULTS.get(outcome, "failure"),
        "trainci.verdict": outcome.value,
    }
    if outcome is not Outcome.SKIPPED:
        said["test.case.result.status"] = "pass" if passed else "fail"
    if not passed and outcome is not Outcome.SKIPPED:
        said["error.type"] = _error(result)
    return said


def _of_attempt(attempt: Attempt) -> dict[str, str | int | tuple[str, ...]]:
    return {"trainci.attempt": attempt.number, "trainci.devices": attempt.devices, "trainci.log": attempt.log}


def _nanoseconds(at: float) -> int:
    return round(at * 1e9)
