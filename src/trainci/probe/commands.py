"""Writes down how programs that a program starts end, where nobody asks for their exit code.

Run by ``site/sitecustomize.py``, once a process is started; ``ends`` are the names of ``ends.py``. What counts is
what runs tests or training, and is started by the program's own files: a library asks by itself.
"""

import os
import re
import signal
import sys

ends = helper("ends")  # noqa: F821
_PROGRAM = re.compile(r"(?:python[\d.]*|pytest|torchrun|accelerate|deepspeed|uv|mpirun|srun)|.*\.(?:py|sh)")
_SHELLS = ("bash", "sh", "dash")
_BY_SOMEBODY = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
_ENDS_ANOTHER = re.compile(r"kill|\bstop\b|shutdown")
_PARTS = re.compile(r"\|\|?|&&?|;|\n")
_ASKED_BY = ("subprocess", "asyncio", "sitecustomize", "trainci_ends", __name__)
# How a value that is awaited gets to where it is used.
_OF_AWAIT = ("CACHE", "YIELD_VALUE", "RESUME", "JUMP_BACKWARD_NO_INTERRUPT", "END_SEND", "NOP")
# The places of what Popen._execute_child is given.
_STDOUT, _STDERR = 13, 15
# Those that failed, and their commands, which another try has, too.
_bad, _bad_whos = [], set()
# Something was sent a signal, or may have been: what ends then may have been ended.
_state = {"sent": False, "wraps": False}


def started(popen, arguments):
    """``popen`` begins, by these ``arguments`` of ``_execute_child``."""
    if not _state["wraps"]:
        _state["wraps"] = True
        _wrap(sys.modules["subprocess"])
    _state["sent"] |= bool(_ENDS_ANOTHER.search(_text(arguments[0])))
    place = _place()
    if place and _runs_tests(arguments[0]):
        popen._trainci_from = place, arguments[_STDOUT] != -1 or arguments[_STDERR] != -1


def of_system(command, code):
    """``os.system`` gave ``code`` for ``command``."""
    place, code = _place(), code >> 8 or -(code & 0x7F)
    if place and _runs_tests(command) and ends["hears"]("child") and _is_dropped(_caller()):
        _tell(code, place, command, 0, kept=False)


def _is_inside(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0] in _ASKED_BY


def _caller():
    """The frame that called such a module; a coroutine is called by what awaits it."""
    frame = sys._getframe(1)
    while frame is not None and _is_inside(frame):
        frame = frame.f_back
    return frame


def _place():
    frame = _caller()
    if frame is not None and not ends["is_of_library"](frame.f_code.co_filename):
        return [frame.f_code.co_filename[:1000], frame.f_lineno]
    return None


def _text(args):
    return args if isinstance(args, str) else " ".join(map(str, args)) if isinstance(args, (list, tuple)) else ""


def _runs_tests(args):
    """Whether its exit code is that of a program; the text of a `python -c` or a `bash -c` may ask something."""
    text = _PARTS.split(args.strip())[-1] if isinstance(args, str) else _text(args)
    words = [os.path.basename(word) for word in text.split() if not re.match(r"\w+=", word)]
    if words and words[0] in _SHELLS:
        words = words[1:]
    return bool(words) and bool(_PROGRAM.fullmatch(words[0])) and "-c" not in words[1:3]


def _who(args):
    return repr(("command", _text(args)))[:2000]


def _tell(code, place, args, pid, kept):
    if code < 0 and _state["sent"]:
        return
    words, who = _text(args).split(), _who(args)
    _bad_whos.add(who)
    what = "exit code %d" % code if code > 0 else "signal %d" % -code
    # A framework's test may want it, and who keeps what it says may look at that.
    certain = -code not in _BY_SOMEBODY and not kept and not _state["sent"] and not ends["is_judged"]()
    program = " ".join(words[:2]) if len(words) > 1 else ""
    said = " ".join([os.path.basename(words[0]), *words[1:]])
    ends["tell"]("left", what, [place], who, said=said, assertion=certain, pid=pid, program=program)


def _ended(popen, code):
    place, kept = getattr(popen, "_trainci_from", (None, False))
    if not place or not ends["hears"]("child"):
        return
    if code and not (kept and ends["is_judged"]()):
        popen._trainci_pid = popen.pid
        _bad[:] = [*_bad[-50:], popen]
        _tell(code, place, popen.args, popen.pid, kept)
    elif not code and _who(popen.args) in _bad_whos:
        ends["append"]({"by": "well", "who": _who(popen.args)})


def _given(asked):
    """The exit code that ``asked`` holds is given to the program."""
    pid, frame = getattr(asked, "_trainci_pid", None), _caller()
    if pid and (ends["is_of_library"](frame.f_code.co_filename) or not _is_dropped(frame)):
        _is_asked(asked)


def _is_asked(asked):
    pid = getattr(asked, "_trainci_pid", None)
    if pid and ends["hears"]("child"):
        ends["append"]({"by": "asked", "pid": pid})


def _is_dropped(frame):
    """The call that ``frame`` makes is a statement of its own, or asks whether something has ended, not how."""
    import dis

    left = [one for one in dis.get_instructions(frame.f_code) if one.offset > frame.f_lasti]
    # What returns it has nothing behind that.
    first, *then = [one for one in left if one.opname not in _OF_AWAIT][:2]
    if first.opname == "LOAD_CONST":
        return first.argval is None and bool(then) and then[0].opname in ("IS_OP", "COMPARE_OP")
    return first.opname == "POP_TOP" or (first.opname.startswith("POP_JUMP") and "NONE" in first.opname)


def _inherit(owner, args):
    """What ``subprocess.run`` gives or raises is about the process that was told the same words."""
    for popen in reversed(_bad):
        if popen.args is args:
            owner._trainci_pid = popen.pid
            return


def _code(put_too):
    """A property in the place of ``returncode``: who reads it asks, but for Python's own modules."""

    def get(self):
        code = self.__dict__.get("returncode")
        if code:
            ends["quietly"](_read, self)
        return code

    def put(self, code):
        self.__dict__["returncode"] = code
        if code is not None:
            ends["quietly"](put_too, self, code)

    return property(get, put)


def _read(owner):
    if not _is_inside(sys._getframe(3)):
        _given(owner)


def _hear_call(popen, name):
    original = getattr(popen, name)

    def called(self, *arguments, **options):
        code = original(self, *arguments, **options)
        frame = sys._getframe(1)
        # `subprocess.call` gives it on.
        if code and (not _is_inside(frame) or frame.f_code.co_name == "call"):
            ends["quietly"](_given, self)
        return code

    ends["replace"](popen, name, called)


def _hear_signals(name):
    original = getattr(os, name)

    def sends(to, number):
        _state["sent"] |= number != 0
        return original(to, number)

    setattr(os, name, in_place_of(original, sends, "os", name))  # noqa: F821


def _wrap_async(module):
    process = module.Process
    wait, code = process.wait, process.returncode

    async def waited(self):
        found = await wait(self)
        if found:
            frame, of = sys._getframe(1), self._transport.get_extra_info("subprocess")
            if frame.f_code.co_name != "communicate":
                # A library that waits for it gives it to somebody.
                ends["quietly"](_is_asked if _is_inside(frame) else _given, of)
        return found

    def get(self):
        found = code.fget(self)
        if found:
            ends["quietly"](_read, self._transport.get_extra_info("subprocess"))
        return found

    ends["replace"](process, "wait", waited)
    process.returncode = property(in_place_of(code.fget, get))  # noqa: F821


def _wrap(module):
    popen, refused = module.Popen, module.CalledProcessError.__init__

    def __init__(self, returncode, cmd, *arguments, **options):
        refused(self, returncode, cmd, *arguments, **options)
        ends["quietly"](lambda: (_inherit(self, cmd), _is_asked(self)))

    for name in ("kill", "killpg"):
        _hear_signals(name)
    ends["replace"](module.CalledProcessError, "__init__", __init__)
    for name in ("wait", "poll"):
        _hear_call(popen, name)
    popen.returncode = _code(_ended)
    module.CompletedProcess.returncode = _code(lambda self, _: _inherit(self, self.args))
    if "asyncio.subprocess" in sys.modules:
        _wrap_async(sys.modules["asyncio.subprocess"])
