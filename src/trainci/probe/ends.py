"""Writes down what ends a process of a job, a thread or a task in it: a line of JSON each.

Run by ``site/sitecustomize.py``, once there is something to hear of. The lines are read by
``trainci.reported_ends``.
"""

import os
import sys

VARIABLE = "TRAINCI_ENDS"
_LARGEST = 32 << 20
MOST_NAMES = 1000
LONGEST = 400
_MOST_FRAMES = 2000
RAISED = b'"by": "raised"'
# What a shell and torchrun set for each program, and what scripts give another value for another try.
_OF_A_TRY = (
    rb"(?:_|SHLVL|PWD|OLDPWD|(?:TORCHELASTIC|GROUP|ROLE|LOCAL|WORLD|MASTER)_\w+"
    rb"|\w*(?:PORT|SEED|TRY|TRIE|ATTEMPT|RESTART|RETRI|RUN_ID|TMP)\w*)="
)
# A process that ends well afterwards has made good what it is the same as.
state = {"badly": False, "framework": False}
# Futures that hold what was raised, by their ids.
_unasked = {}


def append(line):
    import json

    told = os.environ.get(VARIABLE)
    if not told:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(told, flags, 0o600)
    try:
        if os.fstat(file).st_size < _LARGEST:
            os.write(file, (json.dumps(line) + "\n").encode("utf-8", "replace"))
    finally:
        os.close(file)


def is_begun(with_what=b""):
    """Somebody has written there before us; of what is long, the begin is looked at."""
    try:
        with open(os.environ[VARIABLE], "rb", opener=_opener) as file:
            begin = file.read(1 << 20)
        return bool(begin) and with_what in begin
    except OSError:
        return False


def _opener(path, flags):
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def who():
    """What this process is, as another try of it would be; torchrun's ranks are told apart."""
    words = getattr(sys, "orig_argv", sys.argv)
    return " ".join([*words[:50], os.environ.get("RANK", "")])[:2000]


def environment():
    """A number of the variables that it was started with, which another try has, too, but for what counts tries."""
    import binascii
    import re

    try:
        with open("/proc/self/environ", "rb") as file:
            given = file.read().split(b"\0")
    except OSError:
        return ""
    return "%08x" % binascii.crc32(b"\0".join(sorted(one for one in given if not re.match(_OF_A_TRY, one))))


def program():
    """What it runs, whatever the arguments; empty for the text of `python -c`."""
    words = getattr(sys, "argv", [""])
    return " ".join([words[0], os.environ.get("RANK", "")])[:2000] if words[0] not in ("", "-", "-c") else ""


def raised(how, told, of=None):
    """``told`` is what a hook of Python's was given: what nobody caught; ``how`` says where ``of`` ended by it."""
    first = told[0]
    value = told[1] if len(told) == 3 else getattr(first, "exc_value", first)
    if value is None or isinstance(value, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return
    if how in ("process", "fork") and _program_goes_on():
        return
    state["badly"] = True
    assertion = _assertion(value)
    found = value if assertion is None else assertion
    frames = _frames(found) or _frames(value)
    try:
        said = str(found)
    except Exception:
        said = ""
    of_hook = {"process": sys, "thread": sys.modules.get("threading")}.get(how)
    tell(
        how,
        type(found).__name__,
        frames,
        of or ("" if how == "fork" else who()),
        said=said,
        assertion=assertion is not None,
        # Who prints it in a way of his own.
        told=of_hook is not None and of_hook.excepthook is not of_hook.__excepthook__,
        env="" if of or how == "fork" else environment(),
        program=program() if how == "process" else "",
    )


def tell(how, what, frames, of, said="", assertion=True, told=True, **more):
    """Write down that ``of`` ended by ``what``, at the last of these ``frames``."""
    append(
        {
            "by": "raised",
            "how": how,
            "type": what[:LONGEST],
            "assertion": assertion,
            "said": said.strip()[:LONGEST],
            "frames": frames[-1:],
            "cwd": directory(),
            "pid": os.getpid(),
            "who": of,
            "told": told,
            **more,
        }
    )


def directory():
    try:
        return os.getcwd()
    except OSError:
        return ""


def _program_goes_on():
    """It called the hook by itself, to show something: Python does so once no frame of it is left."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_name in ("<module>", "_run_module_as_main", "_bootstrap")


def _assertion(value):
    """The assertion that failed: ``value`` itself, or one of the group that it is."""
    if isinstance(value, AssertionError) or type(value).__name__ == "Failed":
        return value
    for part in getattr(value, "exceptions", None) or ():
        if isinstance(part, BaseException):
            found = _assertion(part)
            if found is not None:
                return found
    return None


def _frames(value):
    """The places of its traceback that are in no library, as [file, line]."""
    import re

    found = []
    entry = value.__traceback__
    for _ in range(_MOST_FRAMES):
        if entry is None:
            break
        file = entry.tb_frame.f_code.co_filename
        of_library = is_of_library(file)
        if file in ("<string>", "<stdin>"):
            of_library = "--multiprocessing-fork" in sys.argv
        if not of_library:
            found.append([file[:1000], entry.tb_lineno])
        entry = entry.tb_next
    # It came from another process, as text.
    for file, line in re.findall(
        r'^  File "(.+?)", line (\d+), in', getattr(value.__cause__, "tb", ""), re.MULTILINE
    ):
        if not is_of_library(file):
            found.append([file[:1000], int(line)])
    return found


def is_of_library(file):
    """Python's own files, the programs that packages install, and what was read from no file."""
    own = (os.path.dirname(os.__file__) + os.sep, os.path.join(sys.prefix, "bin") + os.sep)
    return file.startswith((*own, "<")) or "site-packages" in file or "dist-packages" in file


def leave(replaced, known):
    """The process ends; ``replaced``: a hook of the program's own has been told why.

    ``known`` bytes had been written down when it began: what ended badly beside it is not made good by it.
    """
    for _, error in list(_unasked.values()):
        raised("future", (error,))
    if replaced and not state["badly"] and not state["framework"]:
        raised("process", (None, sys.last_value, None))
    if not state["badly"] and is_begun(RAISED):
        append({"by": "well", "who": who(), "env": environment(), "program": program(), "after": known})


def _wrap_loop(module):
    """What becomes of a task whose exception nobody asks for."""
    handle = module.BaseEventLoop.call_exception_handler

    def call_exception_handler(self, context):
        error = context.get("exception")
        if error is not None and VARIABLE in os.environ:
            quietly(raised, "task", (error,))
        return handle(self, context)

    replace(module.BaseEventLoop, "call_exception_handler", call_exception_handler)


def _wrap_future(module):
    """What becomes of a result that nobody asks for."""
    future = module.Future
    fail = future.set_exception

    def set_exception(self, exception):
        if VARIABLE in os.environ and not getattr(self, "_trainci_asked", False) and len(_unasked) < MOST_NAMES:
            _unasked[id(self)] = (self, exception)
        return fail(self, exception)

    replace(future, "set_exception", set_exception)
    for name in ("result", "exception", "add_done_callback"):
        _hear_asking(future, name)


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
        names = ("_trainci_asked", "_error_callback", "_callback")
        asked = any(getattr(self, name, None) for name in names)
        if not good and not asked and VARIABLE in os.environ and len(_unasked) < MOST_NAMES:
            _unasked[id(self)] = (self, value)
        return put(self, number, told)

    replace(result, "_set", _set)


def _hear_asking(owner, name):
    original = getattr(owner, name)

    def asked(self, *arguments, **options):
        self._trainci_asked = True
        _unasked.pop(id(self), None)
        return original(self, *arguments, **options)

    replace(owner, name, asked)


def replace(owner, name, new):
    """Put ``new`` where ``owner`` has its function of that name."""
    setattr(owner, name, in_place_of(getattr(owner, name), new))  # noqa: F821


def quietly(do, *arguments):
    try:
        do(*arguments)
    except Exception:
        pass


def wrap(module):
    """Hear what ``module``, which has just been imported, will be told."""
    _WRAPS[module.__name__](module)


_WRAPS = {
    "multiprocessing.pool": _wrap_pool,
    "asyncio.base_events": _wrap_loop,
    "concurrent.futures._base": _wrap_future,
}
