"""Runs at the start of each Python process of a job, of whatever version: silent, also where it fails.

A signal makes the process write the stacks of its threads to ``PID.stacks``: Python's own handler does that in C,
whatever holds the interpreter. It is short, as it may be compiled at each start; what only torch needs is in
``ranks.py``.
"""

import os
import sys

_SITE = os.path.dirname(__file__)
_WATCHED = "torch.distributed.distributed_c10d"
# Above what a program opens, so that its own descriptors have the numbers that they always have.
_HIGH = 500


class _Probe:
    def __init__(self, told):
        number, _, self.folder = told.partition(":")
        self.signal = int(number)
        self.listens = False

    def begin(self):
        import _signal
        import faulthandler

        self.descriptor = self.open_high()
        self.file = self.identity()
        # What faulthandler puts back when the process ends; by default the signal would end it.
        _signal.signal(self.signal, _signal.SIG_IGN)
        faulthandler.register(self.signal, self.descriptor, all_threads=True, chain=False)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reopen)
        sys.meta_path.insert(0, self)

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

    def find_spec(self, name, path=None, target=None):
        """As a finder of modules: finds none, and hears when torch.distributed is imported."""
        if name != _WATCHED:
            return None
        sys.meta_path.remove(self)
        try:
            ranks = os.path.join(os.path.dirname(_SITE), "ranks.py")
            with open(ranks) as file:
                code = compile(file.read(), ranks, "exec")
            names = {"__name__": "trainci_ranks"}
            exec(code, names)
            return names["find_spec"](self, name, path, target)
        except Exception:
            return None


def _begin():
    try:
        told = os.environ.get("TRAINCI_PROBE")
        if told:
            _Probe(told).begin()
    except Exception:
        pass


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
