"""Writes down how the children of multiprocessing ended, and whether somebody asked or ended them on purpose.

Run by ``site/sitecustomize.py``, once that is imported; ``ends`` are the names of ``ends.py``.
"""

import os
import signal
import sys

ends = helper("ends")  # noqa: F821
# What a program ends another one by, or itself, and what it does not die of by an accident.
_BY_SOMEBODY = tuple(
    getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
_sent = set()
# Who was started here, and who failed and was waited for.
_begun, _known_bad = set(), set()


def _wrap_process(module):
    process = module.BaseProcess
    begin, wait, bootstrap, exitcode = process.start, process.join, process._bootstrap, process.exitcode

    def start(self):
        frame, who = sys._getframe(1), _who(self)
        # A framework's test judges what it starts, but for an assertion that nobody asks for.
        self._trainci_told = (ends["state"]["within"].told, ends["is_kept"]()) if ends["is_judged"]() else None
        self._trainci_again = again = _failed_before(who)
        done = begin(self)
        ends["judged"]["children"].append(self.pid)
        ends["quietly"](_started, self, frame, who, again)
        return done

    def _bootstrap(self, *arguments, **options):
        run, who = self.run, _who(self)
        again = getattr(self, "_trainci_again", False)

        def heard():
            try:
                run()
            except Exception as error:
                ends["quietly"](_raised, self, error, who)
                raise
            else:
                ends["quietly"](_ended_well, who, again)

        if ends["hears"]("child") or getattr(self, "_trainci_told", None):
            self.run = heard
        return bootstrap(self, *arguments, **options)

    def waited(self, *arguments, **options):
        done = wait(self, *arguments, **options)
        popen = getattr(self, "_popen", None)
        if popen is not None and popen.returncode:
            _known_bad.add(getattr(popen, "_trainci_who", ""))
        return done

    def asked(self):
        code = exitcode.fget(self)
        if code and ends["hears"]("child"):
            ends["quietly"](ends["append"], {"by": "asked", "pid": self.pid})
        return code

    def kill(pid, number):
        ends["quietly"](_sends, module, pid, number)
        return send(pid, number)

    send = os.kill
    os.kill = in_place_of(send, kill, "os", "kill")  # noqa: F821
    ends["replace"](process, "start", start)
    ends["replace"](process, "join", waited)
    ends["replace"](process, "_bootstrap", _bootstrap)
    process.exitcode = property(in_place_of(exitcode.fget, asked))  # noqa: F821


def _raised(process, error, who):
    file, kept = getattr(process, "_trainci_told", None) or ("", False)
    if not file:
        ends["raised"]("child", (error,), who)
    elif isinstance(error, AssertionError):
        ends["append"](ends["line_of"]("child", error, who, told=kept), file)


def _who(process):
    given = getattr(process, "_args", ())
    # A class of the program's own may call something else so.
    plain = [value for value in given if isinstance(value, (int, str))] if isinstance(given, tuple) else []
    target = getattr(process, "_target", None)
    name = getattr(target, "__qualname__", type(process).__qualname__)
    return repr(("child", ends["who"](), name, plain))[:2000]


def _failed_before(who):
    """What begins once somebody knows of it is another try, here or of a whole program; a sibling is none."""
    import json

    told = ends["VARIABLE"] in os.environ
    anew = told and who not in _begun and ends["is_begun"](json.dumps(who).encode("utf-8", "replace"))
    _begun.add(who)
    return anew or who in _known_bad


def _ended_well(who, again):
    if again:
        ends["append"]({"by": "well", "who": who})


def _started(process, frame, who, again):
    """Remember where the program starts it; a library asks by itself for what it starts."""
    process._popen._trainci_who = who
    torch = os.sep + os.path.join("torch", "multiprocessing", "")
    while frame is not None and torch in frame.f_code.co_filename:
        frame = frame.f_back
    if process.daemon or frame is None:
        return
    file = frame.f_code.co_filename
    if file in ("<stdin>", "<string>") or not ends["is_of_library"](file):
        process._popen._trainci_started = ([file[:1000], frame.f_lineno], who, again)


def _wrap_popen(popen):
    def polled(self, *arguments, **options):
        before = self.returncode
        code = poll(self, *arguments, **options)
        if before is None and code is not None and ends["hears"]("child"):
            ends["quietly"](_ended, self, code)
        return code

    poll = popen.poll
    ends["replace"](popen, "poll", polled)


def _ended(popen, code):
    started = getattr(popen, "_trainci_started", None)
    if started is None or getattr(popen, "_trainci_sent", False):
        return
    place, who, again = started
    if code == 0:
        _ended_well(who, again)
        return
    ends["tell"](
        "left",
        "exit code %d" % code if code > 0 else signal.Signals(-code).name,
        [place],
        who,
        # A manager of services may have sent it; a framework's test may want it.
        assertion=not ends["is_judged"]() and (-code not in _BY_SOMEBODY or code == -signal.SIGKILL),
        pid=popen.pid,
    )


def _sends(module, pid, number):
    if number not in _BY_SOMEBODY or not ends["hears"]("child") or pid in _sent:
        return
    for child in module._children:
        popen = getattr(child, "_popen", None)
        if popen is not None and popen.pid == pid:
            if popen.poll() is None:
                popen._trainci_sent = True
            return
    # A child of somebody else's, or this one itself.
    _sent.add(pid)
    ends["append"]({"by": "sent", "pid": pid})


# Each hears of the children of the module of that name, which has just been imported.
WRAPS = {
    "multiprocessing.process": _wrap_process,
    "multiprocessing.popen_fork": lambda module: _wrap_popen(module.Popen),
    "multiprocessing.popen_forkserver": lambda module: _wrap_popen(module.Popen),
}
