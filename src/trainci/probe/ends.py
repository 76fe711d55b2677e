"""Writes down what ends a process of a job, a thread or a task in it: a line of JSON each.

Run by ``site/sitecustomize.py``, once there is something to hear of. The lines are read by
``trainci.reported_ends``.
"""

import contextlib
import os
import sys

VARIABLE = "TRAINCI_ENDS"
_LARGEST = 32 << 20
MOST_NAMES = 1000
LONGEST = 400
_MOST_FRAMES = 2000
RAISED = b'"by": "raised"'
# CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR of inspect, which takes long to import.
_RUN_LATER = 0x20 | 0x80 | 0x200
# What a shell and torchrun set for each program, and what scripts give another value for another try.
_OF_A_TRY = (
    rb"(?:_|SHLVL|PWD|OLDPWD|(?:TORCHELASTIC|GROUP|ROLE|LOCAL|WORLD|MASTER)_\w+"
    rb"|\w*(?:PORT|SEED|TRY|TRIE|ATTEMPT|RESTART|RETRI|RUN_ID|TMP)\w*)="
)
# A process that ends well afterwards has made good what it is the same as.
state = {"badly": False, "framework": False}
# The framework that runs tests in the process `pid`: what is `held` of a test counts once that has passed.
judged = {"pid": 0, "by": "", "stderr": None, "result": None, "test": 0, "body": None, "held": [], "children": []}
# What results that nobody has asked for yet hold, with the number of the test in which they came.
unasked = {}


def is_judged():
    return judged["pid"] == os.getpid()


def hears(how):
    """A framework hears of what ends its own process, and nobody of what becomes of a thread in it.

    Unless the test took what is printed of that to itself.
    """
    if VARIABLE in os.environ:
        return True
    printed = how in ("thread", "unraisable")
    read = printed and not is_kept() and sys.stderr is not judged["stderr"]
    return is_judged() and how not in ("process", "fork") and not read


@contextlib.contextmanager
def unjudged():
    """Within a run of a framework that a test starts, and judges."""
    pid, judged["pid"] = judged["pid"], 0
    try:
        yield
    finally:
        judged["pid"] = pid


def append(line, told=None):
    told = told or os.environ.get(VARIABLE)
    if told:
        state["badly"] |= line["by"] == "raised"
        _write(told, line)
    elif is_judged() and len(judged["held"]) < MOST_NAMES:
        judged["held"].append(line)


def test_ended(good):
    """Where a test of the framework's has failed, that is heard of, and what went wrong in it is a part of it."""
    held, children, number = judged["held"], judged["children"], judged["test"]
    judged.update(held=[], children=[], test=number + 1)
    for line in held if good else [{"by": "asked", "pid": pid} for pid in children]:
        append(line)
    for key, (of, _) in list(unasked.items()):
        if of == number and not good:
            del unasked[key]


def _write(told, line):
    import json

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


def hear(how, told):
    """See ``raised``, where somebody is to hear of it."""
    if hears(how):
        raised(how, told)


def raised(how, told, of=None):
    """``told`` is what a hook of Python's was given: what nobody caught; ``how`` says where ``of`` ended by it."""
    first = told[0]
    value = told[1] if len(told) == 3 else getattr(first, "exc_value", first)
    if value is None or isinstance(value, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return
    if how in ("process", "fork") and _program_goes_on():
        return
    append(line_of(how, value, of))


def line_of(how, value, of=None, told=False):
    """What is written down of ``value``; see ``raised`` and ``tell``."""
    assertion = _assertion(value)
    found = value if assertion is None else assertion
    frames = _frames(found) or _frames(value)
    try:
        said = str(found)
    except Exception:
        said = ""
    of_hook = {"process": sys, "thread": sys.modules.get("threading")}.get(how)
    return _line(
        how,
        type(found).__name__,
        frames,
        of or ("" if how == "fork" else who()),
        said=said,
        assertion=assertion is not None,
        # Who prints it in a way of his own.
        told=told or (of_hook is not None and of_hook.excepthook is not of_hook.__excepthook__) or is_kept(),
        env="" if of or how == "fork" else environment(),
        program=program() if how == "process" else "",
    )


def exits(status, frame):
    """The process ends in ``frame`` with the exit code ``status``, of which others see 0."""
    if hears("process"):
        place = [frame.f_code.co_filename[:1000], frame.f_lineno]
        what = "exit code %d, of which others see 0," % status
        tell("process", what, [place], who(), env=environment(), program=program())


def never_awaited(coroutine):
    """Nothing of the function ``coroutine`` has run."""
    code = coroutine.cr_code
    if hears("coroutine") and code is not judged["body"] and not is_of_library(code.co_filename):
        append({**_line_of_function("coroutine", code, coroutine, assertion=False), "by": "noted"})


def called(method):
    """A framework calls the test ``method`` and no more: of a coroutine or a generator nothing runs."""
    code = judged["body"] = getattr(method, "__code__", None)
    if code is not None and code.co_flags & _RUN_LATER:
        append(_line_of_function("body", code, method))


def _line_of_function(how, code, function, **more):
    place = [code.co_filename[:1000], code.co_firstlineno]
    return _line(how, "%s()" % function.__qualname__, [place], who(), **more)


def tell(how, what, frames, of, **more):
    """Write down that ``of`` ended by ``what``, at the last of these ``frames``."""
    append(_line(how, what, frames, of, **more))


def _line(how, what, frames, of, said="", assertion=True, told=True, **more):
    return {
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


def is_kept():
    """The framework keeps what its tests print, and shows it where they fail."""
    kept = judged["by"] == "pytest" or sys.stderr is getattr(judged["result"], "_stderr_buffer", sys)
    return is_judged() and kept


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
    for _, line in list(unasked.values()):
        append(line)
    if replaced and not state["badly"] and not state["framework"]:
        raised("process", (None, sys.last_value, None))
    if not state["badly"] and is_begun(RAISED):
        append({"by": "well", "who": who(), "env": environment(), "program": program(), "after": known})


def replace(owner, name, new):
    """Put ``new`` where ``owner`` has its function of that name."""
    setattr(owner, name, in_place_of(getattr(owner, name), new))  # noqa: F821
