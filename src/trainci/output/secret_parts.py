"""Pure: finds the parts of a secret that is cut, wrapped in lines, or shown without its middle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from trainci.output.secret_forms import SHORTEST_END, dumped_forms, parted_forms

# Of less, it may be another text's; of words alone even more may be (`https://`, `-----BEGIN PRIVATE KEY-----`).
_SHORTEST_PART = 12
_SHORTEST_OF_WORDS = 40
# `...`, ` [...] `, `<snip>`, `(12 more characters)`, and rich's `'+12`.
_DOTS = rb"\.{2,}|\xe2\x80\xa6|\*{2,}"
_SIGN = re.compile(rb" ?(?:['\"]?(?:%s)['\"]?|[\[<(] ?(?:%s|[\w +-]{3,24}) ?[\]>)]|['\"]\+\d+) ?" % (_DOTS, _DOTS))
_SIGN_BEFORE = re.compile(rb"(?:%s)\Z" % _SIGN.pattern)
_LONGEST_SIGN = 32
# What stands between two parts: the end of a line with quotes and frames, in a dump with the text beside it and the
# place of the next line, or the blank in the middle of a line of it. Behind it, so many bytes are a part.
_AROUND_A_LINE = rb"(?:[ \t\"'\\+,|()]|\xe2[\x94\x95][\x80-\xbf])*"
_BETWEEN = rb"(?: {1,2}|(?:%s| *[ -~]{1,40})\r?\n(?:[0-9a-f]{4,8}:? +(?:[0-9a-fA-F]{2,4} +)*[|>]?|%sb?[\"']?))" % (
    _AROUND_A_LINE,
    _AROUND_A_LINE,
)
_LONGEST_BETWEEN = 200
_CONTINUED = 3
# All that ends a line, or begins such a sign.
_ENDS = b" \t\r\n\"'\\+,|.*()[]<>\xe2\x94\x95\x82\x83\x91\x80\xa6"
_OPENED = re.compile(rb"[\[<(][\w +.*-]{0,24}\Z")
_SIGN_ENDS = frozenset(b".*\xa6])>")
_KINDS = (rb"[a-z]", rb"[A-Z]", rb"[0-9]", rb"[\x80-\xff]")
_DUMPED = re.compile(rb"(?:[0-9a-fA-F]{2,4} ){5}")


class Parts:
    """The parts of secrets in texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = list(secrets)
        parted = [each for secret in secrets for each in parted_forms(secret)]
        self.forms = [form for form, _ in parted]
        self._sought = _sought(parted)
        self._dumped = _sought(each for secret in secrets for each in dumped_forms(secret))
        self._joined = b"\0".join(self.forms)
        self._longest = max((2 * len(form) + _LONGEST_SIGN for form in self.forms), default=0)

    def find(self, text: bytes) -> tuple[list[tuple[int, int]], int]:
        """Where those in ``text`` begin and end, in order, and where the first begins that may go on behind it.

        Two with nothing but a sign between them are one.
        """
        found = list(_all(text, self._sought))
        if self._dumped and (b"\n0" in text or text.startswith(b"0")):
            found += _all(text, self._dumped)
        joined: list[tuple[int, int]] = []
        for start, end in sorted({part for parts, _ in found for part in parts}):
            if joined and (start < joined[-1][1] or _SIGN.fullmatch(text, joined[-1][1], start)):
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((start, end))
        line = text.rfind(b"\n", 0, max(0, text.rfind(b"\n"))) + 1
        going_on = (parts[0][0] for parts, goes_on in found if goes_on and parts[-1][1] > line)
        return joined, min(going_on, default=len(text))

    def open_from(self, text: bytes) -> int:
        """Where the last part in ``text`` begins that may go on in what follows it."""
        tail = text[len(text) - min(len(text), self._longest) :]
        if self.forms and self._may_go_on(tail):
            return len(text) - len(tail) + min(_open_from(tail, form) for form in self.forms)
        return len(text)

    def _may_go_on(self, tail: bytes) -> bool:
        """Whether any part may: nearly always none does, and that is far cheaper to see."""
        return (
            tail[-_CONTINUED:] in self._joined
            or not _SIGN_ENDS.isdisjoint(tail[-_CONTINUED - 2 :])
            or _ended(tail)[-SHORTEST_END:] in self._joined
        )


def _ended(tail: bytes) -> bytes:
    """``tail`` without the end of a line and without a sign, which need not be whole."""
    opened = _OPENED.search(tail, max(0, len(tail) - _LONGEST_SIGN))
    return (tail[: opened.start()] if opened else tail).rstrip(_ENDS)


def _open_from(tail: bytes, form: bytes) -> int:
    start = len(tail) - _length_within(tail, form)
    before = _ended(tail[:start])
    length = _length_within(before, form)
    if length >= SHORTEST_END and _is_unfinished(before[-length:], form):
        return _with_its_sign(tail, len(before) - length)
    if (begun := _with_its_sign(tail, start)) < start:
        return begun
    goes_on = len(tail) - start >= _CONTINUED and _is_unfinished(tail[start:], form)
    return start if goes_on else len(tail)


def _is_unfinished(part: bytes, form: bytes) -> bool:
    """Whether more, or a sign, may follow a part of the form: where that repeats itself, an end is a beginning."""
    return form.startswith(part) or not form.endswith(part)


def _with_its_sign(text: bytes, start: int) -> int:
    """Where the sign begins that stands right before ``start``, without which an end is none; else ``start``."""
    sign = _SIGN_BEFORE.search(text, max(0, start - _LONGEST_SIGN), start)
    return sign.start() if sign else start


def _sought(forms: Iterable[tuple[bytes, list[bytes]]]) -> dict[bytes, set[tuple[bytes, int]]]:
    """By what the parts of forms are looked for, with where it stands in which of them."""
    sought: dict[bytes, set[tuple[bytes, int]]] = {}
    for form, needles in forms:
        for needle in needles:
            places = sought.setdefault(needle, set())
            at = form.find(needle)
            while at >= 0:
                places.add((form, at))
                at = form.find(needle, at + len(needle))
    return sought


def _is_no_word(part: bytes) -> bool:
    """Whether it is nothing that stands in other texts, too: of two of small letters, capitals, digits, others."""
    kinds = sum(re.search(kind, part) is not None for kind in _KINDS)
    return kinds > 1 or _DUMPED.search(part) is not None


_Found = tuple[list[tuple[int, int]], bool]


def _all(text: bytes, sought: dict[bytes, set[tuple[bytes, int]]]) -> Iterator[_Found]:
    for needle, places in sought.items():
        at = text.find(needle)
        while at >= 0:
            for form, place in places:
                if found := _grown(text, at, form, place, place + len(needle)):
                    yield found
            at = text.find(needle, at + 1)


def _grown(text: bytes, at: int, form: bytes, first: int, last: int) -> _Found | None:
    """The parts of ``form`` around its bytes ``first`` to ``last``, which stand at ``at``, if they are enough.

    And whether more of it may follow.
    """
    parts: list[tuple[int, int]] = []
    start, end = at, at + last - first
    while True:
        same = _same_before(text, start, form, first)
        start, first = start - same, first - same
        parts.insert(0, (start, end))
        if not (between := _between_before(text, start, form[:first])):
            break
        start = end = between
    start, end = parts.pop()
    while True:
        same = _same_behind(text, end, form, last)
        end, last = end + same, last + same
        parts.append((start, end))
        if not (between := _between_behind(text, end, form[last:])):
            break
        start = end = between
    length = last - first
    enough = length >= _SHORTEST_PART and (length >= _SHORTEST_OF_WORDS or _is_no_word(form[first:last]))
    begun = first == 0 and _SIGN.match(text, end)
    ended = last == len(form) and _with_its_sign(text, parts[0][0]) < parts[0][0]
    return (parts, last < len(form)) if enough or begun or ended else None


def _between_behind(text: bytes, end: int, rest: bytes) -> int:
    """Where the form goes on with its ``rest`` behind a line's end; 0: it does not."""
    pattern = b"%s(?=%s)" % (_BETWEEN, re.escape(rest[:_CONTINUED]))
    found = re.compile(pattern).match(text, end, end + _LONGEST_BETWEEN) if rest else None
    return found.end() if found else 0


def _between_before(text: bytes, start: int, rest: bytes) -> int:
    pattern = rb"%s(?P<between>%s)\Z" % (re.escape(rest[-_CONTINUED:]), _BETWEEN)
    found = re.compile(pattern).search(text, max(0, start - _LONGEST_BETWEEN), start) if rest else None
    return found.start("between") if found else 0


def _same_behind(text: bytes, at: int, form: bytes, place: int) -> int:
    length = 0
    for one, other in zip(text[at : at + len(form) - place], form[place:], strict=False):
        if one != other:
            break
        length += 1
    return length


def _same_before(text: bytes, at: int, form: bytes, place: int) -> int:
    return _same_behind(text[max(0, at - place) : at][::-1], 0, form[:place][::-1], 0)


def _length_within(text: bytes, form: bytes) -> int:
    """How much of the end of ``text`` stands in ``form``."""
    length = 0
    while length < min(len(text), len(form)) and text[-length - 1 :] in form:
        length += 1
    return length
