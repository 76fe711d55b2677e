"""Pure: the Python exceptions in a log, each with those that led to it, told apart by rank.

Formats: the traceback module of Python 3.10 to 3.14; chained exceptions and groups; those of another process that
torch's DataLoader, multiprocessing, torch.multiprocessing and ray print within an exception's message.
"""

from __future__ import annotations

import re
from collections import deque

from trainci.model.diagnosis import Frame
from trainci.verdict.drawn import HEADER, Drawn
from trainci.verdict.prefixes import Line
from trainci.verdict.raised import FIGURES, Chain, Raised
from trainci.verdict.stand_ins import plays, stands_in

_LINKS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
# A dotted name whose last part is one of a class, or that something is said of.
_EXCEPTION = re.compile(
    r"(?P<type>(?:[A-Za-z_]\w*\.)*(?:[A-Z]\w*|[a-z_]\w*(?=: )))(?:\[[^\]]*\]|\(\w+\))?(?:: ?(?P<message>.*))?$"
)
_PLAIN = re.compile(
    r"(?:[a-z_]\w*\.)+\w+|Failed|[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Iteration|Failed|Timeout|Group|Expired|Full|Empty)"
)
# What a test says of itself, and what is a program's mistake by its type.
ASSERTIONS = frozenset({"AssertionError", "Failed"})
PROGRAM = frozenset(
    {
        *("TypeError", "ValueError", "KeyError", "IndexError", "LookupError", "AttributeError", "NameError"),
        *("UnboundLocalError", "ZeroDivisionError", "OverflowError", "FloatingPointError", "RecursionError"),
        *("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "NotImplementedError"),
        *("StopIteration", "UnicodeDecodeError", "UnicodeEncodeError", "JSONDecodeError", "ValidationError"),
        *("TOMLDecodeError", "ScannerError", "ParserError"),
    }
)
WITHOUT_HEADER = "RayTaskError"
"""Ray goes on with the frames of the worker and its exception, with no header."""
FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d{1,9})')
_CUT = re.compile(r'\s*File "[^"\n]+$')
_REST = re.compile(r'[^"]*", line \d')
# Where a log begins within a traceback, or a launcher has put a title of its own in place of Python's.
HEADLESS = re.compile(r'  (?:  )?File "[^"]+", line \d{1,9}, in ')
_LIBRARY = re.compile(
    r"(?:site|dist)-packages/(\w+)|/ray/\w+\.py|/(trainci)/probe/|python3\.\d+/(?!site-packages|dist-packages)(\w+)"
)
_NAMES_A_PLACE = re.compile(r"""://|localhost|["']\d{1,3}(?:\.\d{1,3}){3}\b|\bport\w*\b.{0,12}\b\d{4,5}\b""")
_GROUP = re.compile(r"^(?: *(?:\||\+-*) ?)+")
_USER_CODE = "from user code:"
# What is said next by somebody else: a logger, a shell that shows what it runs, GitHub's runner.
_NEXT = re.compile(
    r"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d|\[?[EWIF]\d{4} \d\d:\d\d|(?:ERROR|WARN(?:ING)?|INFO|CRITICAL|DEBUG)\b[ :]"
    r"|\++ [\w./]|Process completed with exit code \d"
)
# What stands before each exception of a group.
_MEMBER = re.compile(r"[ |]*\+[-+]+ \d{1,4} -+$")
_LONGEST_MESSAGE = 8
_MOST_JUNK = 60
_MOST_FRAMES = 100
MOST_SOURCES = 8


class Tracebacks:
    """Follows the tracebacks of one stream, line by line."""

    def __init__(self) -> None:
        self._open = 0
        # Frames that nothing introduces may be a stack that is shown: only what is named as an exception ends them.
        self._headless = False
        self._indent = 0
        self._junk = 0
        self._libraries: set[str] = set()
        self._frames: deque[Frame] = deque(maxlen=_MOST_FRAMES)
        self._in_own = False
        self._file = ""
        self._raises = False
        self._plays = False
        self._raising = ""
        self._sources: deque[str] = deque(maxlen=MOST_SOURCES)
        self._asserts = ""
        # In a traceback that an exception's message shows.
        self._shown = False
        # It began within a line, whose indentation is not its own.
        self._floats = False
        self._in_user_code = False
        # A place in a file whose name holds a line break.
        self._cut = ""
        self._chain: Chain | None = None
        self._linked = False
        self._listening = 0
        self._blank = False
        self._drawn = Drawn()
        self._member = False
        # Something that was said before it makes it one that is tried again, or that ends nothing.
        self.announced = self.ignored = False

    def feed(self, line: Line) -> tuple[bool, Chain | None]:
        """Take a line: whether it is a traceback's own, and the chain that it adds an exception to."""
        text = self._drawn.plain(line.text)
        if self._chain and _MEMBER.match(text):
            self._member = self._linked = True
            return True, None
        text = _GROUP.sub("", text) if text.lstrip().startswith(("|", "+-", "+ Exception Group ")) else text
        place = text.find(HEADER)
        if self._member and place < 0:
            return self._of_group(line, text.strip())
        self._member = False
        if place >= 0:
            self._begin(text, place)
            return True, None
        if self._listening and _USER_CODE in text:
            self._in_user_code = True
        elif self._in_user_code:
            return self._of_user_code(text), None
        if not self._open and HEADLESS.match(text):
            self._begin(text, len(text) - len(text.lstrip()) - 2)
            self._headless = True
        if self._open:
            return self._within(line, text)
        stripped = text.strip()
        if stripped in _LINKS:
            self._linked = self._chain is not None
            self._listening = 0
            return True, None
        if self._linked and (type_ := exception_type(stripped)):
            # Shortened, or never raised by itself: it has no traceback of its own.
            self._open += 1
            return True, self._end(line, stripped, type_)
        if self._listening:
            self._go_on(stripped)
        return False, None

    @property
    def active(self) -> bool:
        """The next line may be a traceback's."""
        return bool(self._open or self._listening or self._linked or self._member or self._in_user_code)

    def _of_user_code(self, text: str) -> bool:
        """The places in what torch compiles: of its own, which raises, they are none."""
        self._in_user_code = text[:1] == " "
        if self._chain and (place := FRAME.match(text)) and not is_library(place["file"]):
            raised = self._chain.raised[-1]
            raised.inner = raised.inner or Raised("", "", raised.line)
            raised.inner.frames += (Frame(place["file"], int(place["line"])),)
        return self._in_user_code

    def _of_group(self, line: Line, said: str) -> tuple[bool, Chain | None]:
        """An exception of a group that was never raised by itself has no traceback."""
        self._member = False
        if not (type_ := exception_type(said)):
            return False, None
        self._open += 1
        self._frames.clear()
        return True, self._end(line, said, type_)

    def _begin(self, text: str, place: int) -> None:
        before = text[:place]
        self._indent = place if not before.strip() else len(before) - len(before.lstrip())
        # Of another process, and within the message of the exception that brought it here.
        inner = before.strip().endswith("Original") or (self._listening > 2 and self._wraps())
        self._shown = self._linked if self._shown else not inner and self._introduced(before)
        self._linked = self._linked or inner
        self._headless = False
        self._floats = bool(before.strip())
        self._open += 1
        self._junk = 0
        self._listening = 0
        if self._open == 1:
            self._libraries = set()
            self._frames.clear()
            self._in_own = self._raises = self._plays = False
            self._asserts = self._raising = self._file = ""
            self._sources.clear()

    def _wraps(self) -> bool:
        if not self._chain:
            return False
        last = self._chain.raised[-1].name
        return last.startswith(
            ("RemoteTraceback", "ProcessRaisedException", WITHOUT_HEADER, "_RemoteTraceback", "CheckpointException")
        ) or ("Caught" in self._chain.raised[-1].text)

    def _introduced(self, before: str) -> bool:
        """Whether the last exception's message says that what it shows comes now."""
        if self._open or self._linked or not self._listening or self._chain is None or before.strip():
            return False
        said = [self._chain.raised[-1].text, *filter(None, self._chain.raised[-1].message)]
        return said[-1].endswith(":")

    def _within(self, line: Line, text: str) -> tuple[bool, Chain | None]:
        if self._cut and _REST.match(text):
            text = f"{self._cut}{text}"
        self._cut = ""
        if _CUT.match(text):
            self._cut = f"{text}\n"
            return True, None
        indent = len(text) - len(text.lstrip())
        if not text.strip() or indent > self._indent:
            if frame := FRAME.match(text):
                libraries = {name for names in _LIBRARY.findall(frame["file"]) for name in names if name}
                self._libraries |= libraries
                self._raises = plays(frame["file"]) or self._plays
                self._plays, self._in_own, self._asserts = self._raises, False, ""
                self._file = frame["file"]
                self._raising = ""
                if not is_library(frame["file"]):
                    self._in_own = True
                    self._frames.append(Frame(frame["file"], int(frame["line"])))
                self._junk = 0
                if self._floats:
                    self._indent, self._floats = max(indent - 2, 0), False
            elif text.lstrip().startswith("raise "):
                self._raises = self._raises or self._in_own
                self._raising = text.strip() if self._in_own else ""
            elif self._in_own and stands_in(text):
                self._raises = self._plays = True
            elif self._in_own and names_a_place(text):
                self._sources.append(text.strip())
            if not frame and not self._asserts and not text.lstrip().startswith("raise "):
                self._asserts = text.strip()
            return True, None
        said = text.strip()
        match = _EXCEPTION.match(said)
        # Right after the frames any name of a class will do; later it must look like an exception's.
        sure = match and (_PLAIN.fullmatch(match["type"]) or (self._class_will_do() and match["type"][0].isupper()))
        if indent != self._indent or not match or not sure or _NEXT.match(said):
            self._junk += 1
            if self._junk > _MOST_JUNK:
                self._open = 0
            return False, None
        assert match
        return True, self._end(line, said, match["type"])

    def _class_will_do(self) -> bool:
        return not self._junk and not self._headless

    def _end(self, line: Line, said: str, type_: str) -> Chain:
        libraries, frames = frozenset(self._libraries), tuple(self._frames)
        raised = Raised(type_, said, line.number, libraries, frames=frames, own=self._raises)
        raised.raising, raised.sources, raised.inner_file = self._raising, tuple(self._sources), self._file
        raised.asserts = self._asserts if type_ in ASSERTIONS else ""
        self._open -= 1
        if self._chain and self._shown:
            self._chain.led_here(raised)
        else:
            if self._chain is None or not self._linked:
                self._chain = Chain(line.stream)
            self._chain.raised.append(raised)
        self._linked = False
        self._listening = _LONGEST_MESSAGE
        self._blank = False
        if raised.name == WITHOUT_HEADER:
            self._open += 1
            self._linked = True
            self._junk = 0
        return self._chain

    def _go_on(self, stripped: str) -> None:
        """The message of the last exception may go on with this line, up to an empty one or another exception."""
        self._listening -= 1
        if self._chain is None:
            return
        last = self._chain.raised[-1]
        announced = [last.text, *last.message][-1].endswith(":")
        ends = not stripped or _NEXT.match(stripped) or (exception_type(stripped) and not announced)
        self._blank = self._blank or bool(ends)
        if not self._blank or FIGURES.match(stripped):
            last.message.append(stripped)


def is_library(file: str) -> bool:
    """Whether a traceback's ``file`` is Python's own, or of an installed package.

    Cython names its sources as they lay where the package was built.
    """
    built = file.endswith((".pyx", ".pxd", ".pxi")) and not file.startswith("/")
    return built or _LIBRARY.search(file) is not None or file.startswith(("<", "/usr/lib/python3/"))


def names_a_place(text: str) -> bool:
    """Whether a line of source names a host or a port."""
    return _NAMES_A_PLACE.search(text) is not None


def exception_type(text: str) -> str:
    """The type of the exception that ``text`` (``ValueError: no``) names, empty if it names none."""
    match = _EXCEPTION.match(text)
    return match["type"] if match and _PLAIN.fullmatch(match["type"]) else ""
