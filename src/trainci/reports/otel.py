"""A run as OpenTelemetry spans and metrics, over OTLP (HTTP) to wherever the environment says.

Names: https://opentelemetry.io/docs/specs/semconv/cicd/ and its registry of attributes. The libraries are an extra
(``trainci[otel]``), and where the spans go is said by the variables of
https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from trainci import __version__
from trainci.errors import EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, MachineError
from trainci.model.run import Attempt, Outcome, Result, Run
from trainci.reports.reason import reason
from trainci.verdict.decide import fails

_BOTH = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_METRICS = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
# How long a run that has ended waits for a collector.
_PATIENCE_S = 5
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
    except ImportError as error:
        raise MachineError(
            f"spans are asked for, and {error.name} is missing: pip install 'trainci[otel]'."
        ) from None


def export(run: Run, environment: Mapping[str, str]) -> None:
    """Send the run as a trace (a span a test, below it one an attempt), and its duration as a metric.

    Each only where ``environment`` says to: a collector of traces alone takes no metrics.

    :raises MachineError: the extra is not installed, or no server took it.
    """
    load()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    # Its exporters tell of a failure in many lines; we do so in one.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    resource = Resource.create({"service.name": "trainci", "service.version": __version__})
    spans, measured = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    _trace(run, tracers.get_tracer("trainci", __version__))
    meters = MeterProvider(resource=resource, metric_readers=[measured], shutdown_on_exit=False)
    duration = meters.get_meter("trainci", __version__).create_histogram("cicd.pipeline.run.duration", "s")
    duration.record(run.ended_at - run.started_at, {**_pipeline(run), "cicd.pipeline.run.state": "executing"})
    try:
        sent, told = SpanExportResult.SUCCESS, MetricExportResult.SUCCESS
        if environment.get(_BOTH) or environment.get(_TRACES):
            sent = OTLPSpanExporter(timeout=_PATIENCE_S).export(spans.get_finished_spans())
        data = measured.get_metrics_data()
        if data and (environment.get(_BOTH) or environment.get(_METRICS)):
            told = OTLPMetricExporter(timeout=_PATIENCE_S).export(data)
    except Exception as error:
        raise MachineError(f"spans and metrics were not taken: {type(error).__name__}: {error}.") from None
    if sent is not SpanExportResult.SUCCESS or told is not MetricExportResult.SUCCESS:
        raise MachineError("spans and metrics were not taken: see the variables OTEL_EXPORTER_OTLP_….")


def _trace(run: Run, tracer: object) -> None:
    from opentelemetry import trace
    from opentelemetry.trace import Tracer

    assert isinstance(tracer, Tracer)
    root = tracer.start_span("trainci run", start_time=_nanoseconds(run.started_at), attributes=_of_run(run))
    within = trace.set_span_in_context(root)
    for result in run.results:
        start = result.attempts[0].queued_at if result.attempts else run.ended_at
        end = result.attempts[-1].ended_at if result.attempts else run.ended_at
        test = tracer.start_span(
            result.test_id, within, start_time=_nanoseconds(start), attributes=_of_test(result)
        )
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
    root.end(_nanoseconds(run.ended_at))


def _pipeline(run: Run) -> dict[str, str]:
    return {"cicd.pipeline.name": "trainci run", "cicd.pipeline.result": _PIPELINES.get(run.exit_code, "failure")}


def _of_run(run: Run) -> dict[str, str | int]:
    said: dict[str, str | int] = {"cicd.pipeline.run.id": run.id, "trainci.devices": run.devices}
    return {**_pipeline(run), **said, "vcs.ref.head.revision": run.commit}


def _of_test(result: Result) -> dict[str, str | int]:
    outcome = result.verdict.outcome
    passed = outcome is Outcome.PASSED or (outcome is Outcome.FLAKY and not fails(result))
    said: dict[str, str | int] = {
        "test.case.name": result.test_id,
        "cicd.pipeline.task.name": result.test_id,
        "cicd.pipeline.task.type": "test",
        "cicd.pipeline.task.run.result": "success" if passed else _RESULTS.get(outcome, "failure"),
        "trainci.verdict": outcome.value,
    }
    if outcome is not Outcome.SKIPPED:
        said["test.case.result.status"] = "pass" if passed else "fail"
    if result.verdict.diagnosis:
        said["trainci.rule"] = result.verdict.diagnosis.rule
    return said


def _of_attempt(attempt: Attempt) -> dict[str, str | int | tuple[str, ...]]:
    return {"trainci.attempt": attempt.number, "trainci.devices": attempt.devices, "trainci.log": attempt.log}


def _nanoseconds(at: float) -> int:
    return round(at * 1e9)
