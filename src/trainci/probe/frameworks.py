"""Writes down how the tests that a framework ran in a process of a job ended, a line of JSON for each run of one.

Run by ``site/sitecustomize.py``, once such a framework is imported; ``ends`` are the names of ``ends.py``. While it
runs tests the variable is taken away, so that what these start says nothing: the framework judges it. What becomes
of threads and the like in its own process it does not hear of: that is written down where the test has passed.
"""

import os
import sys

ends = helper("ends")  # noqa: F821


class Within:
    """While a framework runs tests: what they start says nothing. That it begins is said, as it may never end."""

    def __init__(self, by):
        self.by = by

    def __enter__(self):
        self.first = not ends["is_begun"]()
        ends["quietly"](ends["append"], {"by": "begun", "framework": self.by, "pid": os.getpid()})
        ends["state"]["framework"] = True
        # What unittest's tests raised, whatever their result makes of it.
        self.wrong = {}
        self.told = os.environ.pop(ends["VARIABLE"], None)
        ends["judged"].update(pid=os.getpid(), by=self.by, stderr=sys.stderr)
        ends["state"]["within"] = self
        return self

    def __exit__(self, *_):
        self.say(ends["test_ended"], True)
        if self.told is not None:
            os.environ[ends["VARIABLE"]] = self.told
        ends["judged"].update(pid=0)

    def say(self, end, *arguments):
        """Write down an ``end`` before it is left: what follows may end the process at once."""
        if self.told is not None and ends["is_judged"]():
            os.environ[ends["VARIABLE"]] = self.told
            ends["quietly"](end, *arguments)
            os.environ.pop(ends["VARIABLE"], None)


def ended(by, first, failed, passed, said, code=0, root="", **more):
    line = {
        "by": by,
        "pid": os.getpid(),
        "good": len(passed),
        "said": said,
        "code": int(code),
        # Each of torchrun's ranks runs them all.
        "root": ("%s %s" % (root, os.environ.get("RANK", "")))[:1000].strip(),
        "failed": [name[: ends["LONGEST"]] for name in failed[: ends["MOST_NAMES"]]],
        **more,
    }
    line["more"] = max(0, len(failed) - ends["MOST_NAMES"])
    # What an earlier run may have failed.
    if not first:
        line["passed"] = [name[: ends["LONGEST"]] for name in passed]
    ends["append"](line)


def counts(outcomes):
    found = ((outcomes.count(word), word) for word in ("failed", "passed", "error"))
    return ", ".join("%d %s%s" % (n, word, "s" * (word == "error" and n > 1)) for n, word in found if n)


def of_test(error, name):
    return {**ends["line_of"]("test", error, name, told=True), "assertion": True}


class _Session:
    """A plugin of pytest's: what became of each test, as pytest itself counts it (Session.testsfailed)."""

    def __init__(self):
        self.root = ""
        self.chooses, self.left_out = False, 0
        self.failed = {}
        self.passed = {}
        # What the last call of each raised, whatever plugins make of it.
        self.raised = {}
        # A plugin repeated them.
        self.again = set()
        self.within = None
        self.over = False

    def pytest_configure(self, config):
        self.root = str(getattr(config, "rootpath", "") or getattr(config, "rootdir", ""))
        self.chooses = any(str(word).startswith(_CHOOSE) for word in config.invocation_params.args)

    def pytest_collection_modifyitems(self, items):
        found = len(items)
        yield
        # Whatever left them out, but for who started it.
        self.left_out = 0 if self.chooses else found - len(items)

    def pytest_runtest_call(self, item):
        yield from self.hear(item)

    def pytest_pyfunc_call(self, pyfuncitem):
        yield from self.hear(pyfuncitem)

    def hear(self, item):
        ends["quietly"](self.raised.pop, item.nodeid, None)
        outcome = yield
        ends["quietly"](self.keep, item.nodeid, outcome)

    def keep(self, name, outcome):
        error = (outcome.excinfo or (None, None))[1]
        # What skips a test or stops pytest is no Exception, but for a failure that is called so.
        if isinstance(error, Exception) or type(error).__name__ == "Failed":
            self.raised[name] = of_test(error, name)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed[report.nodeid] = "error"

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.setdefault(report.nodeid, "failed" if report.when == "call" else "error")
        elif report.when == "call" and report.passed:
            self.passed[report.nodeid] = "passed"
            if report.nodeid in self.raised and not hasattr(report, "wasxfail"):
                self.within.say(ends["append"], self.raised[report.nodeid])
        if report.outcome == "rerun":
            self.again.add(report.nodeid)
            self.within.say(ends["test_ended"], False)
        elif report.when == "teardown":
            self.within.say(ends["test_ended"], self.is_good(report.nodeid))

    def is_good(self, name):
        return name in self.passed and name not in self.failed

    def pytest_warning_recorded(self, warning_message, nodeid):
        # Of what nobody could catch pytest makes a warning: an assertion there failed all the same.
        how = _NOBODY_CAUGHT.get(warning_message.category.__name__)
        if how and (not nodeid or self.is_good(nodeid)) and nodeid not in self.again:
            self.within.say(_nobody_caught, how, str(warning_message.message), nodeid)

    def pytest_sessionfinish(self, exitstatus):
        # A conftest.py may end the process here, as what tests left would keep it from its end.
        self.within.say(self.end, exitstatus)

    def end(self, code):
        if self.over:
            return
        self.over = True
        for name in self.failed:
            self.passed.pop(name, None)
        said = counts([*self.failed.values(), *self.passed.values()])
        of = list(self.failed), list(self.passed)
        ended("pytest", self.within.first, *of, said, code, self.root, left_out=self.left_out)


# The options of pytest's by which it runs a part of what it finds.
_CHOOSE = ("-k", "-m", "--deselect", "--lf", "--last-failed", "--sw", "--stepwise")
_NOBODY_CAUGHT = {
    "PytestUnhandledThreadExceptionWarning": "thread",
    "PytestUnraisableExceptionWarning": "unraisable",
}


def _nobody_caught(how, text, test):
    import re

    found = re.findall(r"^AssertionError\b:? ?(.*)$", text, re.MULTILINE)
    places = re.findall(r'^  File "(.+?)", line (\d+), in', text, re.MULTILINE)
    frames = [[file[:1000], int(line)] for file, line in places if not ends["is_of_library"](file)]
    if found and frames:
        ends["tell"](how, "AssertionError", frames, test, said=found[-1])


def _wrap_pytest(module):
    name = "_main" if hasattr(module, "_main") else "main"
    _Session.pytest_sessionfinish = module.hookimpl(tryfirst=True)(_Session.pytest_sessionfinish)
    modify = module.hookimpl(hookwrapper=True, tryfirst=True)
    _Session.pytest_collection_modifyitems = modify(_Session.pytest_collection_modifyitems)
    for hook in ("pytest_runtest_call", "pytest_pyfunc_call"):
        # As near to the test as plugins come.
        setattr(_Session, hook, module.hookimpl(hookwrapper=True, trylast=True)(getattr(_Session, hook)))
    original = getattr(module, name)

    def main(*arguments, **options):
        if ends["VARIABLE"] not in os.environ:
            with ends["unjudged"]():
                return original(*arguments, **options)
        plugins = arguments[1] if len(arguments) > 1 else options.get("plugins")
        session = _Session()
        options["plugins"] = [*(plugins or ()), session]
        with Within("pytest") as session.within:
            code = original(*arguments[:1], **options)
        ends["quietly"](session.end, code)
        return code

    ends["replace"](module, name, main)


def _wrap_doctest(module):
    original = module.DocTestRunner.run

    def run(self, test, *arguments, **options):
        result = original(self, test, *arguments, **options)
        if ends["VARIABLE"] in os.environ and (result[0] or ends["is_begun"]()):
            bad = [test.name] if result[0] else []
            good = [] if result[0] or not result[1] else [test.name]
            ends["quietly"](ended, "doctest", False, bad, good, "%d of %d examples failed" % (result[0], result[1]))
        return result

    ends["replace"](module.DocTestRunner, "run", run)


# Each hears of the runs of the module of that name, which has just been imported.
WRAPS = {"_pytest.config": _wrap_pytest, "doctest": _wrap_doctest}
