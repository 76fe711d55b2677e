"""The pages under their addresses, and what stands before and around each of them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import jinja2
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainci.errors import TrainciError
from trainci.reports.page import inert, style
from trainci.reports.words import duration, utc_time
from trainci.serve import guard, live, logs, views
from trainci.serve.made import Made
from trainci.serve.views import Context, Source

# Each page is made in a thread; what many at once take of the memory has an end.
_THREADS = 4
_MOST_STREAMS = 100
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def application(source: Source, token: str, only_here: bool, is_over: Callable[[], bool]) -> Starlette:
    """The pages of ``source``; ``token`` must be shown, if any. ``only_here``: by this host's own names alone.

    ``is_over`` says when nobody is told any more what is new.
    """

    def past(_: Request) -> Hashable | None:
        return views.history_stamp(source)

    def of_run(request: Request) -> Hashable | None:
        return views.run_stamp(source, _text(request, "id"))

    def of_log(request: Request) -> Hashable | None:
        return views.log_stamp(source, _text(request, "run"), _text(request, "name"))

    pages: Mapping[str, _Page] = {
        "/": _Page("now", lambda _: views.now(source)),
        "/runs": _Page("runs", lambda request: views.runs(source, _number(request, "before")), past),
        "/run": _Page("one_run", lambda request: views.run(source, _text(request, "id")), of_run),
        "/test": _Page("test", lambda request: views.test(source, _text(request, "id")), past),
        "/tests": _Page("tests", lambda _: views.tests(source), past),
        "/grid": _Page("grid", lambda request: views.grid(source, _text(request, "suite")), past),
        "/health": _Page("health", lambda _: views.health(source)),
        "/log": _Page("log", lambda request: _log(request, source), of_log),
    }
    streams = _Streams(is_over)
    return Starlette(
        routes=[
            *(Route(path, page.answer) for path, page in pages.items()),
            *(Route(f"/live{path}", streams.of(page)) for path, page in pages.items()),
            Route("/raw", lambda request: _raw(request, source)),
            Route("/style.css", _style),
            Route("/live.js", _script),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
        ],
        middleware=[Middleware(_Guard, token=token, only_here=only_here)],
        exception_handlers={HTTPException: _refused},
        lifespan=_few_threads,
    )


@dataclass(frozen=True)
class _Page:
    """What a page shows by which template; it is made again where its ``stamp`` is another one, or None."""

    template: str
    context: Callable[[Request], Context]
    stamp: Callable[[Request], Hashable | None] = lambda _: None
    made: Made[tuple[str, bool]] = field(default_factory=Made)

    def answer(self, request: Request) -> Response:
        try:
            return HTMLResponse(self._page(request)[0])
        except views.NotThere as error:
            return _told(404, str(error))
        except TrainciError as error:
            return _told(503, str(error))

    def look(self, request: Request) -> tuple[str, bool]:
        """The page, and whether it goes on; nothing for now where something does not answer."""
        try:
            return self._page(request)
        except views.NotThere as error:
            return _rendered("told", {"sentence": str(error)}), False
        except TrainciError:
            return "", True

    def _page(self, request: Request) -> tuple[str, bool]:
        """The page, and whether it goes on."""

        def make() -> tuple[str, bool]:
            context = self.context(request)
            return _rendered(self.template, context), bool(context.get("live"))

        return self.made.page(request.url.query, lambda: self.stamp(request), make)


class _Streams:
    """Those who are told what is new."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._open = 0

    def of(self, page: _Page) -> Callable[[Request], Awaitable[Response]]:
        """The stream of ``page``, by the address of which it is asked for."""

        async def answer(request: Request) -> Response:
            if self._open >= _MOST_STREAMS:
                return _told(503, "Too many are told what is new.")
            return _Stream(self._counted, self._told(page, request))

        return answer

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _told(self, page: _Page, request: Request) -> AsyncIterator[str]:
        async def is_over() -> bool:
            return self._is_over() or await request.is_disconnected()

        async for said in live.stream(lambda: page.look(request), is_over):
            yield said


class _Stream(StreamingResponse):
    """Counted as soon as it is answered: its text begins only when all who ask with it have been answered."""

    def __init__(self, counted: Callable[[], AbstractContextManager[None]], told: AsyncIterator[str]) -> None:
        super().__init__(told, media_type="text/event-stream")
        self._counted = counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._counted():
            await super().__call__(scope, receive, send)


@asynccontextmanager
async def _few_threads(_: Starlette) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield


class _Guard:
    """Lets in who may read, and adds to every answer what a browser is to hold it to."""

    def __init__(self, app: ASGIApp, token: str, only_here: bool) -> None:
        self._app = app
        self._token = token
        self._only_here = only_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = self._instead(Request(scope)) or self._app
        await answer(scope, receive, send_with_headers)

    def _instead(self, request: Request) -> Response | None:
        """What is answered instead of the page, None for who may read it."""
        headers = request.headers
        if self._only_here and not guard.is_our_name(headers.get("host", "")):
            return _told(421, "This host is not called that here: ask for 127.0.0.1.")
        if not self._token or guard.has_token(
            self._token, headers.get("authorization", ""), headers.get("cookie", "")
        ):
            return None
        if guard.is_token(self._token, _text(request, "token")):
            entered = RedirectResponse("/", 303)
            entered.set_cookie(guard.COOKIE, self._token, httponly=True, samesite="strict")
            return entered
        return _told(401, "Open the address that `trainci serve` printed, with its token.")


def _refused(_: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    return _told(code, "There is no such page." if code == 404 else "Pages are only read.")


def _told(code: int, sentence: str) -> Response:
    return HTMLResponse(_rendered("told", {"sentence": sentence}), code)


def _rendered(template: str, context: Context) -> str:
    text = _environment().get_template(f"{template}.html.j2").render({"live": False, **context, "page": template})
    return text.encode("utf-8", "replace").decode()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("trainci.serve"), jinja2.PackageLoader("trainci.reports", "")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=inert,
    )
    environment.filters.update(
        urlencode=views.query, at=utc_time, duration=duration, log_link=lambda name, run: views.log_link(run, name)
    )
    return environment


def _log(request: Request, source: Source) -> Context:
    start = _number(request, "from")
    return views.log(
        source, _text(request, "run"), _text(request, "name"), None if math.isinf(start) else int(start)
    )


def _raw(request: Request, source: Source) -> Response:
    """A log's bytes, or the range of them that is asked for, as plain text."""
    try:
        file, size = views.log_file(source, _text(request, "run"), _text(request, "name"))
    except TrainciError as error:
        return _told(404, str(error))
    wanted = logs.byte_range(request.headers.get("range"), size)
    start, end = wanted or (0, size)
    headers = {"accept-ranges": "bytes", "content-type": "text/plain; charset=utf-8"}
    if wanted and start == end:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
    if wanted:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    return StreamingResponse(logs.pieces(file, start, end), 206 if wanted else 200, headers)


def _style(_: Request) -> Response:
    return Response(style() + _static("serve.css"), media_type="text/css")


def _script(_: Request) -> Response:
    return Response(_static("live.js"), media_type="text/javascript")


def _static(name: str) -> str:
    return resources.files("trainci.serve").joinpath("static").joinpath(name).read_text("utf-8")


def _text(request: Request, name: str) -> str:
    return request.query_params.get(name, "")


def _number(request: Request, name: str) -> float:
    """A number that is asked for, infinite where none is."""
    try:
        value = float(_text(request, name))
    except ValueError:
        return math.inf
    return value if value >= 0 else math.inf
