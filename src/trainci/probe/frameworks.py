"""Writes down how the tests that a framework ran in a process of a job ended, a line of JSON for each run of one.

Run by ``site/sitecustomize.py``, once such a framework is imported; ``ends`` are the names of ``ends.py``. While it
runs tests the variable is taken away, so that what these start says nothing: the framework judges it. What becomes
of threads and the like in its own process it does not hear of: that is written down where the test has passed.
"""

import os
import sys

ends = helper("ends")  # noqa: F821


class _Within:
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


def _ended(by, first, failed, passed, said, code=0, root="", **more):
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


def _counts(outcomes):
    found = ((outcomes.count(word), word) for word in ("failed", "passed", "error"))
    return ", ".join("%d %s%s" % (n, word, "s" * (word == "error" and n > 1)) for n, word in found if n)


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
            self.raised[name] = _of_test(error, name)

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
        said = _counts([*self.failed.values(), *self.passed.values()])
        of = list(self.failed), list(self.passed)
        _ended("pytest", self.within.first, *of, said, code, self.root, left_out=self.left_out)


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
        with _Within("pytest") as session.within:
            code = original(*arguments[:1], **options)
        ends["quietly"](session.end, code)
        return code

    ends["replace"](module, name, main)


def _wrap_unittest(kind):
    """``kind.run`` gives, or is given, a result of unittest's."""
    original = kind.run

    def run(self, *arguments, **options):
        if ends["VARIABLE"] not in os.environ:
            return original(self, *arguments, **options)
        names = []
        ends["quietly"](
            lambda: names.extend(_names_of(self if arguments[0:1] and _is_result(arguments[0]) else arguments[0]))
        )
        with _Within("unittest") as within:
            result = original(self, *arguments, **options)
        ends["quietly"](_end_of_unittest, within, result, names)
        return result

    ends["replace"](kind, "run", run)


def _wrap_result(module):
    """Whether a single test of unittest's has passed; its own functions keep their place in the stack."""
    start, stop = module.TestResult.startTest, module.TestResult.stopTest

    def startTest(self, test):
        ends["judged"].update(result=self, bad=_bad(self))
        ends["quietly"](lambda: ends["state"]["within"].wrong.pop((id(self), test.id()), None))
        return start(self, test)

    def stopTest(self, test):
        within = ends["state"].get("within")
        if within and within.by == "unittest":
            within.say(ends["test_ended"], _bad(self) == ends["judged"].get("bad"))
        return stop(self, test)

    ends["replace"](module.TestResult, "startTest", startTest)
    ends["replace"](module.TestResult, "stopTest", stopTest)


def _wrap_case(module):
    call = module.TestCase._callTestMethod

    def _callTestMethod(self, method):
        # Another try of it.
        ends["quietly"](_forget_raised)
        try:
            return call(self, method)
        except Exception as error:
            if not isinstance(error, module.SkipTest):
                ends["quietly"](_keep_raised, error, self.id())
            raise

    # What a class of the program's own puts around it may drop what it raises.
    ends["replace"](module.TestCase, "_callTestMethod", _callTestMethod)
    if hasattr(module, "_addError"):  # Python 3.11
        _wrap_telling(module)


def _wrap_telling(module):
    tell = module._addError

    def _addError(result, test, error):
        ends["quietly"](lambda: error and ends["state"]["within"].wrong.update({(id(result), test.id()): test}))
        ends["quietly"](_forget_raised)
        return tell(result, test, error)

    ends["replace"](module, "_addError", _addError)


def _keep_raised(error, name):
    if ends["is_judged"]():
        ends["append"](_of_test(error, name))


def _forget_raised():
    ends["judged"]["held"] = [line for line in ends["judged"]["held"] if line.get("how") != "test"]


def _of_test(error, name):
    return {**ends["line_of"]("test", error, name, told=True), "assertion": True}


def _bad(result):
    kinds = ("failures", "errors", "skipped", "expectedFailures", "unexpectedSuccesses")
    return [len(getattr(result, kind, ())) for kind in kinds]


def _is_result(value):
    return hasattr(value, "failures") and hasattr(value, "addFailure")


def _names_of(tests):
    if hasattr(tests, "id"):
        return [tests.id()]
    return [name for test in tests if test is not None for name in _names_of(test)]


def _end_of_unittest(within, result, names):
    wrong = {"failed": list(result.failures), "error": list(result.errors)}
    wrong["failed"] += [(test, "") for test in getattr(result, "unexpectedSuccesses", ())]
    known = {test.id() for tests in wrong.values() for test, _ in tests if hasattr(test, "id")}
    # A result of another one's is a part of some test.
    dropped = [test for (of, name), test in within.wrong.items() if of == id(result) and name not in known]
    wrong["failed"] += [(test, "") for test in dropped]
    # A subtest is a part of the test whose id comes first in its own.
    failed = [_name_of(test) for tests in wrong.values() for test, _ in tests]
    other = [_name_of(test) for test, _ in (*result.skipped, *result.expectedFailures)]
    passed = [name for name in names if name not in set(failed) | set(other)]
    said = _counts([word for word, tests in wrong.items() for _ in tests] + ["passed"] * len(passed))
    # As pytest and, from 3.12 on, unittest itself say that there is no test.
    code = 0 if names or failed or other else 5
    root = getattr(sys.modules["__main__"], "__file__", None) or ""
    _ended("unittest", within.first, failed, passed, said, code, root)


def _name_of(test):
    test = getattr(test, "test_case", test)
    return test.id() if hasattr(test, "id") else str(test)


def _wrap_doctest(module):
    original = module.DocTestRunner.run

    def run(self, test, *arguments, **options):
        result = original(self, test, *arguments, **options)
        if ends["VARIABLE"] in os.environ and (result[0] or ends["is_begun"]()):
            bad = [test.name] if result[0] else []
            good = [] if result[0] or not result[1] else [test.name]
            ends["quietly"](
                _ended, "doctest", False, bad, good, "%d of %d examples failed" % (result[0], result[1])
            )
        return result

    ends["replace"](module.DocTestRunner, "run", run)


# Each hears of the runs of the module of that name, which has just been imported.
WRAPS = {
    "_pytest.config": _wrap_pytest,
    "unittest.result": _wrap_result,
    "unittest.suite": lambda module: _wrap_unittest(module.TestSuite),
    "unittest.case": _wrap_case,
    "unittest.runner": lambda module: _wrap_unittest(module.TextTestRunner),
    "doctest": _wrap_doctest,
}
