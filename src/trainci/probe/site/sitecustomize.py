"""Runs at the start of each Python process of a job, of whatever version: silent, also where it fails.

A signal makes the process write the stacks of its threads to ``PID.stacks``: Python's own handler does that in C,
whatever holds the interpreter, and may crash where a thread is amid an instruction of Python. The signal after it
does the same between two instructions. What no test framework hears of and ends a process or a thread is written to
another file, as is how frameworks ended. It is short, as it may be compiled at each start; what only torch needs is
in ``ranks.py``, what is needed once something has ended badly in ``ends.py``, what of frameworks in
``frameworks.py`` and ``unittests.py``.
"""

import os
import sys

# The program may put others in their places.
_current_frames, _write = sys._current_frames, os.write
_SITE = os.path.dirname(__file__)
# Above what a program opens, so that its own descriptors have the numbers that they always have.
_HIGH = 500
_DEEPEST = 100
# The modules of which the files beside our folder hear.
_WRAPPED = {
    "frameworks": ("_pytest.config", "doctest"),
    "unittests": ("unittest.result", "unittest.case", "unittest.suite", "unittest.runner"),
    "children": ("multiprocessing.process", "multiprocessing.popen_fork", "multiprocessing.popen_forkserver"),
    "results": ("multiprocessing.pool", "asyncio.base_events", "concurrent.futures._base", "socketserver"),
}


class _Probe:
    def __init__(self, told):
        number, _, self.folder = told.partition(":")
        self.signal = int(number)
        if not self.folder:
            # Without it the files would be made at the root.
            raise ValueError(told)
        self.listens = False

    def begin(self):
        import _signal
        import faulthandler

        self.descriptor = self.open_high()
        self.file = self.identity()
        # What faulthandler puts back when the process ends; by default the signal would end it.
        _signal.signal(self.signal, _signal.SIG_IGN)
        faulthandler.register(self.signal, self.descriptor, all_threads=True, chain=False)
        _signal.signal(self.signal + 1, self.answer)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reopen)
        _follow("torch.distributed.distributed_c10d", lambda module: _helper("ranks")["wrap"](self, module))

    def answer(self, number=None, interrupted=None):
        """What faulthandler writes; while this runs, no other thread is amid an instruction."""
        try:
            lines = []
            for thread, frame in _current_frames().items():
                if interrupted is not None and frame.f_back is interrupted:
                    frame = interrupted
                lines.append("Thread 0x%016x (most recent call first):" % thread)
                for _ in range(_DEEPEST):
                    if frame is None:
                        break
                    code = frame.f_code
                    lines.append(
                        '  File "%s", line %d in %s' % (code.co_filename, frame.f_lineno or 0, code.co_name)
                    )
                    frame = frame.f_back
            _write(self.descriptor, ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:
            pass

    def path(self, kind):
        return "%s/%d.%s" % (self.folder, os.getpid(), kind)

    def open(self):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self.path("stacks"), flags, 0o600)

    def open_high(self):
        low = self.open()
        try:
            import fcntl

            high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        except (ImportError, OSError):
            return low
        os.close(low)
        return high

    def identity(self):
        found = os.fstat(self.descriptor)
        return found.st_dev, found.st_ino

    def reopen(self):
        """A forked child answers in a file of its own, unless the descriptor has become something else."""
        try:
            self.listens = False
            if self.identity() == self.file:
                own = self.open()
                os.dup2(own, self.descriptor, False)
                os.close(own)
                self.file = self.identity()
        except Exception:
            pass


class _Ends:
    """Hears how the process and what runs in it ends; ``ends.py`` writes it down, unless a framework judges it."""

    def begin(self):
        import atexit

        self.pid = os.getpid()
        # What was written down before we began: of that alone we may be another try.
        self.known = self.size()
        # Also the originals, which programs compare the hooks with, and call from hooks of their own.
        self.excepthook = sys.excepthook = sys.__excepthook__ = self.hearing("process", sys, "excepthook")
        if hasattr(sys, "unraisablehook"):
            sys.unraisablehook = sys.__unraisablehook__ = self.hearing("unraisable", sys, "unraisablehook")
        _follow("threading", self.wrap_threading)
        _follow("subprocess", self.wrap_subprocess)
        _follow("warnings", self.wrap_warnings)
        for helper, names in _WRAPPED.items():
            _follow_all(names, helper)
        atexit.register(self.leave)
        run = os.system

        def system(command):
            status = run(command)
            if status and "TRAINCI_ENDS" in os.environ:
                _quietly(lambda: _helper("commands")["of_system"](command, status))
            return status

        os.system = _in_place_of(run, system)
        leave_at_once = os._exit

        def _exit(status):
            _quietly(_exits, status, sys._getframe(1))
            self.leave()
            leave_at_once(status)

        os._exit = _in_place_of(leave_at_once, _exit, "os", "_exit")
        leave = sys.exit

        def exit(status=None, /):
            _quietly(_exits, status, sys._getframe(1))
            leave(status)

        sys.exit = _in_place_of(leave, exit, "sys", "exit")

    def size(self):
        try:
            return os.stat(os.environ["TRAINCI_ENDS"]).st_size
        except OSError:
            return 0

    def hearing(self, how, module, name):
        """The hook of that name, and what it is told is heard of before; only what is written in C is followed."""
        hook = getattr(module, name)

        def heard(*told):
            self.hear(how, told)
            return hook(*told)

        return _in_place_of(hook, heard, module.__name__, name)

    def hear(self, how, told):
        try:
            if "TRAINCI_ENDS" in os.environ or "frameworks" in _helpers:
                forked = how == "process" and os.getpid() != self.pid
                _helper("ends")["hear"]("fork" if forked else how, told)
        except Exception:
            pass

    def wrap_threading(self, module):
        module.excepthook = module.__excepthook__ = self.hearing("thread", module, "excepthook")

    def wrap_subprocess(self, module):
        """What hears of them is read once one is started, which takes longer than that."""
        begin = module.Popen._execute_child

        def _execute_child(popen, *arguments, **options):
            if "commands" in _helpers or "TRAINCI_ENDS" in os.environ:
                _quietly(lambda: _helper("commands")["started"](popen, arguments))
            return begin(popen, *arguments, **options)

        module.Popen._execute_child = _in_place_of(begin, _execute_child)

    def wrap_warnings(self, module):
        warn = module._warn_unawaited_coroutine

        def _warn_unawaited_coroutine(coroutine):
            _quietly(lambda: _helper("ends")["never_awaited"](coroutine))
            return warn(coroutine)

        module._warn_unawaited_coroutine = _in_place_of(warn, _warn_unawaited_coroutine)

    def leave(self):
        try:
            told = os.environ.get("TRAINCI_ENDS")
            replaced = sys.excepthook is not self.excepthook and hasattr(sys, "last_value")
            if told and os.getpid() == self.pid and (replaced or "ends" in _helpers or os.path.exists(told)):
                _helper("ends")["leave"](replaced, self.known)
        except Exception:
            pass


def _quietly(do, *arguments):
    try:
        do(*arguments)
    except Exception:
        pass


def _exits(status, frame):
    """Of an exit code others see the last byte alone."""
    if type(status) is int and status and not status & 0xFF:
        _helper("ends")["exits"](status, frame)


def _in_place_of(original, new, module=None, name=None):
    """``new``, pickled, named and looked at as ``original`` is; ``module`` and ``name``: where it stands."""
    new.__module__ = module or original.__module__
    new.__name__ = original.__name__ if name is None else name
    new.__qualname__ = name or getattr(original, "__qualname__", original.__name__)
    new.__doc__ = original.__doc__
    new.__wrapped__ = original
    return new


class _Follower:
    """As a finder of modules: finds none, and hears when some are imported."""

    def __init__(self):
        self.then = {}

    def find_spec(self, name, path=None, target=None):
        then = self.then.pop(name, None)
        if then is None:
            return None
        for finder in list(sys.meta_path):
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                self.run_then(spec.loader, then)
                return spec
        return None

    def run_then(self, loader, then):
        run = loader.exec_module

        def exec_module(module):
            del loader.exec_module
            run(module)
            _quietly(then, module)

        loader.exec_module = exec_module


_follower = _Follower()
_helpers = {}


def _follow(name, then):
    if name in sys.modules:
        then(sys.modules[name])
    else:
        _follower.then[name] = then


def _follow_all(names, helper):
    """The file beside our folder that is called ``helper`` hears of each of these modules."""
    for name in names:
        _follow(name, lambda module: _helper(helper)["WRAPS"][module.__name__](module))


def _helper(name):
    """The names of the file beside our folder that is called so."""
    if name not in _helpers:
        path = os.path.join(os.path.dirname(_SITE), name + ".py")
        with open(path) as file:
            code = compile(file.read(), path, "exec")
        names = {"__name__": "trainci_" + name, "__unittest": True}
        names.update(helper=_helper, in_place_of=_in_place_of, quietly=_quietly)
        exec(code, names)
        _helpers[name] = names
    return _helpers[name]


def _begin():
    told = os.environ.get("TRAINCI_PROBE")
    if told:
        _quietly(lambda: _Probe(told).begin())
    if os.environ.get("TRAINCI_ENDS"):
        _quietly(_Ends().begin)
    elif told and any("multiprocessing" in word for word in getattr(sys, "orig_argv", ())):
        # What a framework's test spawned is told there where to write.
        _follow_all(_WRAPPED["children"], "children")
    if _follower.then:
        sys.meta_path.insert(0, _follower)


def _chain():
    """Run the file of this name that would have run without this one. What it raises is Python's to tell."""
    sys.path[:] = [path for path in sys.path if path != _SITE]
    # What importlib.machinery and importlib.util give, without their imports, which take milliseconds.
    spec = sys.modules["_frozen_importlib_external"].PathFinder.find_spec("sitecustomize")
    if spec is None or spec.loader is None or spec.origin == __file__:
        return
    module = sys.modules["_frozen_importlib"].module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_begin()
_chain()
