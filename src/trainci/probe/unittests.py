"""Writes down how the tests ended that unittest ran in a process of a job, as ``frameworks.py`` does of pytest's.

Run by ``site/sitecustomize.py``, once unittest is imported; ``ends`` are the names of ``ends.py``.
"""

import os
import sys

ends = helper("ends")  # noqa: F821
frameworks = helper("frameworks")  # noqa: F821


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
        with frameworks["Within"]("unittest") as within:
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
        ends["quietly"](ends["called"], method)
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
        ends["append"](frameworks["of_test"](error, name))


def _forget_raised():
    ends["judged"]["held"] = [line for line in ends["judged"]["held"] if line.get("how") != "test"]


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
    said = frameworks["counts"]([word for word, tests in wrong.items() for _ in tests] + ["passed"] * len(passed))
    # As pytest and, from 3.12 on, unittest itself say that there is no test.
    code = 0 if names or failed or other else 5
    root = getattr(sys.modules["__main__"], "__file__", None) or ""
    frameworks["ended"]("unittest", within.first, failed, passed, said, code, root)


def _name_of(test):
    test = getattr(test, "test_case", test)
    return test.id() if hasattr(test, "id") else str(test)


# Each hears of the runs of the module of that name, which has just been imported.
WRAPS = {
    "unittest.result": _wrap_result,
    "unittest.suite": lambda module: _wrap_unittest(module.TestSuite),
    "unittest.case": _wrap_case,
    "unittest.runner": lambda module: _wrap_unittest(module.TextTestRunner),
}
