"""Writes down what became of results that nobody asks for: of futures, pools, tasks, and what they call back.

Run by ``site/sitecustomize.py``, once what gives them is imported; ``ends`` are the names of ``ends.py``.
"""

import itertools
import sys

ends = helper("ends")  # noqa: F821
_numbers = itertools.count()
# Where what somebody asked for was raised: who knows of one that failed there knows of its siblings.
_known = set()


def _keep(result, error, asked=False):
    """``result`` holds ``error``; no reference to either stays here: they hold what programs want to be freed."""
    if not ends["hears"]("future") or len(ends["unasked"]) >= ends["MOST_NAMES"]:
        return
    line = ends["line_of"]("future", error)
    number, place = next(_numbers), _place_of(line)
    ends["unasked"][number] = ends["judged"]["test"], line
    result._trainci_held = number, place
    # Asked last, as another thread may ask meanwhile.
    if asked or place in _known or getattr(result, "_trainci_asked", False):
        _is_asked(result)


def _place_of(line):
    return repr((line["type"], line["frames"]))


def _is_asked(result):
    result._trainci_asked = True
    number, place = getattr(result, "_trainci_held", (None, None))
    if number is not None:
        _known.add(place)
        for key, (_, line) in list(ends["unasked"].items()):
            if key == number or _place_of(line) == place:
                del ends["unasked"][key]


def _wrap_loop(module):
    """What becomes of a task whose exception nobody asks for."""
    handle = module.BaseEventLoop.call_exception_handler

    def call_exception_handler(self, context):
        error = context.get("exception")
        # Within a test, a handler of its own hears of it.
        own = ends["is_judged"]() and getattr(self, "_exception_handler", None) is not None
        if error is not None and not own:
            ends["quietly"](ends["hear"], "task", (error,))
        return handle(self, context)

    ends["replace"](module.BaseEventLoop, "call_exception_handler", call_exception_handler)


def _wrap_future(module):
    """What becomes of a result that nobody asks for."""
    future = module.Future
    fail, add = future.set_exception, future.add_done_callback

    def set_exception(self, exception):
        ends["quietly"](_keep, self, exception)
        return fail(self, exception)

    def add_done_callback(self, fn):
        ends["quietly"](_is_asked, self)
        return add(self, _heard(fn) if callable(fn) else fn)

    ends["replace"](future, "set_exception", set_exception)
    ends["replace"](future, "add_done_callback", add_done_callback)
    for name in ("result", "exception"):
        _hear_asking(future, name)


def _heard(callback):
    """What it raises is only logged."""

    def called(future):
        try:
            return callback(future)
        except Exception as error:
            ends["quietly"](ends["hear"], "callback", (error,))
            raise

    return called


def _wrap_pool(module):
    """The same of ``apply_async``, ``map_async`` and ``imap`` of a pool."""
    for result in (module.ApplyResult, module.MapResult, module.IMapIterator, module.IMapUnorderedIterator):
        _wrap_result(result)
    for name in ("get", "successful"):
        _hear_asking(module.ApplyResult, name)
    for name in ("next", "__next__"):
        _hear_asking(module.IMapIterator, name)


def _wrap_result(result):
    put = result._set

    def _set(self, number, told):
        good, value = told
        if not good:
            calls_back = any(getattr(self, name, None) for name in ("_error_callback", "_callback"))
            ends["quietly"](_keep, self, value, calls_back)
        return put(self, number, told)

    ends["replace"](result, "_set", _set)


def _hear_asking(owner, name):
    original = getattr(owner, name)

    def asked(self, *arguments, **options):
        ends["quietly"](_is_asked, self)
        return original(self, *arguments, **options)

    ends["replace"](owner, name, asked)


def _wrap_server(module):
    """What a handler of requests raises is only printed."""
    handle = module.BaseServer.handle_error

    def handle_error(self, request, client_address):
        ends["quietly"](ends["hear"], "callback", (sys.exc_info()[1],))
        return handle(self, request, client_address)

    ends["replace"](module.BaseServer, "handle_error", handle_error)


# Each hears what the module of that name, which has just been imported, will be told.
WRAPS = {
    "multiprocessing.pool": _wrap_pool,
    "asyncio.base_events": _wrap_loop,
    "concurrent.futures._base": _wrap_future,
    "socketserver": _wrap_server,
}
