"""Secrets stay out of what is shown, however a stream is cut into reads."""

from __future__ import annotations

import base64
import html
import json
import pprint
import quopri
import re
import reprlib
import shlex
import textwrap
import urllib.parse
from io import StringIO
from typing import cast
from xml.sax import saxutils

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.panel import Panel
from support import examples

from trainci.output.redaction import MASK, Redactor, redact
from trainci.output.screen import Screen

# Few letters, so that secrets begin, overlap and repeat each other often.
words = st.text("ab", min_size=1, max_size=5)


@given(secrets=st.lists(words, max_size=3), chunks=st.lists(st.text("abc", max_size=6), max_size=8))
def test_no_secret_is_shown_however_the_stream_is_cut(secrets: list[str], chunks: list[str]) -> None:
    redactor = Redactor(secrets)
    shown = b"".join(redactor.feed(chunk.encode()) for chunk in chunks) + redactor.flush()
    assert not [secret for secret in secrets if secret.encode() in shown]


@given(secrets=st.lists(words, max_size=3), chunks=st.lists(st.text("abc", max_size=6), max_size=8))
@example(secrets=["ab", "bb"], chunks=["ab", "bb"])
def test_the_cuts_make_no_difference(secrets: list[str], chunks: list[str]) -> None:
    redactor = Redactor(secrets)
    shown = b"".join(redactor.feed(chunk.encode()) for chunk in chunks) + redactor.flush()
    assert shown.decode() == redact("".join(chunks), secrets)


@given(chunks=st.lists(st.binary(max_size=6), max_size=8))
def test_what_holds_no_secret_passes_unchanged(chunks: list[bytes]) -> None:
    redactor = Redactor(["a secret that is longer than all of it together, or nearly so"])
    assert b"".join(map(redactor.feed, chunks)) + redactor.flush() == b"".join(chunks)


def test_output_is_held_back_only_where_a_secret_may_have_begun() -> None:
    redactor = Redactor(["hunter2"])
    assert redactor.feed(b"password: hun") == b"password: "
    assert redactor.feed(b"ger") == b"hunger"


def test_an_unset_secret_masks_nothing() -> None:
    assert redact("plain words", [""]) == "plain words"


def test_a_secret_that_begins_with_another_is_masked_whole() -> None:
    assert redact("key abcdef, abc", ["abc", "abcdef"]) == "key ***, ***"


FORMS = {
    "as it is": lambda s: s,
    "in a URL": lambda s: urllib.parse.quote(s, safe=""),
    "in a form": urllib.parse.quote_plus,
    "as Python's bytes": lambda s: repr(s.encode()),
    "in JSON": lambda s: json.dumps({"token": s}),
    "in HTML": html.escape,
    "in JSON with its own characters": lambda s: json.dumps({"token": s}, ensure_ascii=False),
    "in JSON with slashes that are escaped": lambda s: json.dumps(s).replace("/", "\\/"),
    "in JSON that may stand in a page": lambda s: json.dumps(s).translate(
        {ord(one): f"\\u{ord(one):04x}" for one in "<>&"}
    ),
    "in JSON in JSON": lambda s: json.dumps(json.dumps({"token": s})),
    "in XML": saxutils.escape,
    "in an attribute of XML": lambda s: saxutils.quoteattr(s, {'"': "&quot;"}),
    "in the path of a URL": urllib.parse.quote,
    "in a URL in small letters": lambda s: re.sub("%..", lambda code: code[0].lower(), urllib.parse.quote(s)),
    "in an exception's repr": lambda s: repr(ValueError(s)),
    "in Python's ASCII": ascii,
    "in a shell's word": shlex.quote,
    "in a trace of a shell": lambda s: "'" + s.replace("'", "'\\''") + "'",
    "in double quotes": lambda s: re.sub(r'([\\"$`])', r"\\\1", s),
    "in hexadecimal digits": lambda s: s.encode().hex(),
    "in capital hexadecimal digits": lambda s: s.encode().hex().upper(),
    "as a fingerprint": lambda s: s.encode().hex(":"),
    "as a capital fingerprint": lambda s: s.encode().hex(":").upper(),
    "as a dump": lambda s: s.encode().hex(" "),
    "in base32": lambda s: base64.b32encode(s.encode()).decode(),
    "in base32, after two": lambda s: base64.b32encode(f"u:{s}:x".encode()).decode(),
    "in base64 twice": lambda s: base64.b64encode(base64.b64encode(s.encode())).decode(),
    "in base64": lambda s: base64.b64encode(s.encode()).decode(),
    "in base64, after one": lambda s: base64.b64encode(f"u{s}".encode()).decode(),
    "in base64, after two": lambda s: base64.b64encode(f"u:{s}:x".encode()).decode(),
    "in a basic header": lambda s: base64.b64encode(f"user:{s}".encode()).decode(),
    "reversed": lambda s: s[::-1],
    "in hexadecimal digits of a URL": lambda s: "%" + s.encode().hex("%"),
    "as C has bytes": lambda s: "".join(f"\\x{byte:02x}" for byte in s.encode()),
    "as a list of C": lambda s: ", ".join(f"0x{byte:02x}" for byte in s.encode()),
    "in quoted-printable": lambda s: quopri.encodestring(s.encode()).decode(),
    "in an address in an address": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "shown but for its end": lambda s: f"{s[:-4]}\N{HORIZONTAL ELLIPSIS}",
    "shown but for its beginning": lambda s: f"...{s[4:]}",
    "in base64 for a URL": lambda s: base64.urlsafe_b64encode(f"us:{s}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=examples(25))  # for each of the forms
@given(
    secret=st.text(
        st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc"]), min_size=16, max_size=40
    ),
    cut=st.integers(0, 90),
)
@example(secret="0000000000001000", cut=2)
@example(secret="000000000000000(", cut=0)
@example(secret="0000000000000000", cut=13)
def test_no_form_of_a_secret_is_left_wherever_the_stream_is_cut(form, secret, cut):
    # One that is all signs of what is left out has no middle.
    assume(not re.search(r"[.*]{2}", secret) and len(re.findall(r"[^\"'\\+,|.*()[\]<>]", secret)) > 7)
    text = FORMS[form](secret).encode()
    redactor = Redactor([secret])
    shown = redactor.feed(b"before " + text[:cut]) + redactor.feed(text[cut:] + b" after") + redactor.flush()
    # All but what base64 mixes with its neighbours, and names around it.
    core = text.strip(b"=")[14:-14]
    assert MASK in shown
    assert len(core) < 6 or core not in shown


def test_each_line_of_a_secret_of_several_lines_is_masked():
    key = "-----BEGIN KEY-----\nabcdefghij\nklmnopqrst\n-----END KEY-----"
    assert redact("x abcdefghij y", [key]) == "x *** y"


@pytest.mark.parametrize("secret", ["  x7Qp21aa \n", '"x7Qp21aa"', "x7Qp21aa\r\n", "first of it\\nx7Qp21aa\\n"])
def test_what_programs_read_of_a_secret_is_masked(secret: str) -> None:
    assert redact(f"got x7Qp21aa, {secret}", [secret]).count("x7Qp21aa") == 0
    assert redact("a is no secret", [" a "]) == "a is no secret"


TOKEN = "hf_Ab3xQ9zLw7Kp2mNv8Rt5Yc1JeUd0oPqSgX"
SIGNS = (
    "...",
    "..",
    "[...]",
    " [...] ",
    " ... ",
    "\N{HORIZONTAL ELLIPSIS}",
    "<snip>",
    "[cut off]",
    "'...'",
    "****",
)


@pytest.mark.parametrize("sign", [*SIGNS, "****", "(12 more characters)"])
def test_the_ends_of_a_secret_whose_middle_is_left_out_are_masked(sign: str) -> None:
    """As pytest, reprlib and textwrap show it, wherever a read ends."""
    redactor = Redactor([TOKEN])
    for begun, ended in ((13, 13), (6, 6), (20, ""), (6, ""), ("", 12)):
        cut = TOKEN[: begun or 0] + sign + TOKEN[-(ended or len(TOKEN)) :][: ended or 0]
        text = f"assert '{cut}' == 'x' ...".encode()
        for place in range(8, len(text)):
            shown = redactor.feed(text[:place]) + redactor.feed(text[place:]) + redactor.flush()
            assert TOKEN[:6].encode() not in shown and TOKEN[-6:].encode() not in shown, (place, shown)


LONG_TOKEN = "github_pat_11ABCDE7Q0Lw7Kp2mNv8Rt_5Yc1JeUd0oPqSgXhB2nM4vC6xZ8aS0dF1gH3jK5lP7oI9uY2tR4eW6qAzX"


def _as_rich_shows(secret: str) -> str:
    console = Console(file=StringIO(), width=40)
    console.print({"token": secret}, Panel(f"the token is {secret}"))
    try:
        raise ValueError(secret)
    except ValueError:
        console.print_exception(show_locals=True)
    return cast(StringIO, console.file).getvalue()


def _as_hexdump_shows(secret: str) -> str:
    data = f"Authorization: Bearer {secret}\n".encode()
    lines = [data[at : at + 16] for at in range(0, len(data), 16)]
    text = [re.sub(rb"[^ -~]", b".", line).decode() for line in lines]
    return "".join(
        f"{16 * row:08x}  {line[:8].hex(' '):<23}  {line[8:].hex(' '):<23}  |{text[row]}|\n"
        for row, line in enumerate(lines)
    )


def _as_xxd_shows(secret: str) -> str:
    data = f"the token = {secret}\n".encode()
    lines = [data[at : at + 16] for at in range(0, len(data), 16)]
    text = [re.sub(rb"[^ -~]", b".", line).decode() for line in lines]
    return "".join(f"{16 * row:08x}: {line.hex(' ', -2):<39}  {text[row]}\n" for row, line in enumerate(lines))


PROGRAMS = {
    "rich": _as_rich_shows,
    "rich, a text cut": lambda secret: f"token = {secret[:80]!r}+{len(secret) - 80}",
    "pprint": lambda secret: pprint.pformat({"raw": secret.encode(), "x": "x" * 40}, width=50),
    "reprlib": reprlib.repr,
    "textwrap": lambda secret: textwrap.indent(textwrap.fill(f"the token is {secret}", 25), "    | "),
    "hexdump -C": _as_hexdump_shows,
    "xxd": _as_xxd_shows,
    "base64 -w 48": lambda secret: "\n".join(textwrap.wrap(base64.b64encode(f"u:{secret}".encode()).decode(), 48)),
    "base85": lambda secret: base64.b85encode(secret.encode()).decode(),
    "entities": lambda secret: "".join(f"&#{ord(one)};" for one in secret),
    "a list of bytes": lambda secret: str(list(secret.encode())),
    "a trace of bash": lambda secret: f"+ printf $'{secret}\\n'",
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("secret", [LONG_TOKEN, "3f2a9c81d7e4b6053f1e8d2c7a9b40e15c6d7f83" * 3])
def test_a_long_secret_is_masked_as_programs_wrap_cut_and_dump_it(program: str, secret: str) -> None:
    text = PROGRAMS[program](secret).encode()
    pieces = {secret[at : at + 8] for at in range(len(secret) - 7)}
    redactor = Redactor([secret])
    for reads in ([text], text.splitlines(keepends=True), [text[at : at + 300] for at in range(0, len(text), 300)]):
        shown = (b"".join(map(redactor.feed, reads)) + redactor.flush()).decode()
        assert MASK.decode() in shown
        digits = re.sub(r"(?m)^[0-9a-f]{8}:? |[^0-9a-f]", "", shown)
        assert not [piece for piece in pieces if piece in shown or piece.encode().hex() in digits], shown


def test_words_that_a_secret_shares_with_other_texts_are_not_masked() -> None:
    """A piece of a secret is masked where it can be no other text's."""
    secrets = [
        "https://hooks.slack.com/services/T0AB/B0CD/x7Qp21aaZ9",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n",
    ]
    text = "see https://hooks.slack.com/docs, -----BEGIN PRIVATE KEY----- and https: ..."
    assert redact(text, secrets[:1]).startswith(
        "see https://hooks.slack.com/docs, -----BEGIN PRIVATE KEY----- and "
    )
    assert redact("a [x] b", secrets) == "a [x] b"


LONG = "".join(chr(33 + 7 * number % 90) for number in range(150))


@pytest.mark.parametrize("width", [64, 76])
def test_each_line_of_a_long_secret_in_base64_is_masked(width: int) -> None:
    """As `base64`, openssl and MIME write it."""
    encoded = base64.b64encode(f"{LONG}\n".encode()).decode()
    lines = [encoded[place : place + width] for place in range(0, len(encoded), width)]
    # The line end is the program's own.
    assert re.fullmatch(r"(\*\*\*\n)+\*\*\*.{0,4}", redact("\n".join(lines), [LONG]))


def test_each_line_of_a_long_secret_in_quoted_printable_is_masked() -> None:
    shown = redact(quopri.encodestring(LONG.encode()).decode(), [LONG])
    assert re.fullmatch(r"(\*\*\*=\n)+.{0,5}", shown), "of the last line too little is left to mask"


def test_a_rest_of_a_line_that_is_short_masks_nothing() -> None:
    secret = "x" * 48 + "ab"
    assert redact("YWI= ab", [secret]) == "YWI= ab"


def test_a_secret_that_colours_part_is_masked() -> None:
    redactor = Redactor(["sk-secret12345"])
    shown = (
        redactor.feed(b"a sk-secret\x1b[1;36m12345\x1b[0m b\n")
        + redactor.feed(b"\x1b[31msk-secret12345")
        + redactor.flush()
    )
    assert shown == b"a ***\x1b[0m b\n\x1b[31m***"
    for cut in range(1, 30):
        text = b"b sk-secr\x1b[31met123\x1b[0m45 c\n"
        assert redactor.feed(text[:cut]) + redactor.feed(text[cut:]) + redactor.flush() == b"b *** c\n"
    assert redactor.mask("sk\x1b[0m-secret12345") == "***"
    assert redactor.mask("sk-secret12345, sk\x1b[0m-secret12345") == "***, ***"
    assert redactor.feed(b"\x1b[31mred\x1b[0m\n") == b"\x1b[31mred\x1b[0m\n"


# Of each kind of what no terminal shows.
UNSHOWN = {
    "colours": "\x1b[1;36m",
    "an erased line's end": "\x1b[K",
    "a cursor that goes and comes": "\x1b[1C\x1b[1D",
    "a title": "\x1b]0;a title\x07",
    "a link": "\x1b]8;;http://a/b\x1b\\",
    "a device's string": "\x1bPabc\x1b\\",
    "a character set": "\x1b(B",
    "a saved cursor": "\x1b7",
    "a C1 sequence": "\x9b31m",
    "a C1 string": "\x9dtitle\x9c",
    "a C1 character": "\x84",
    "a NUL": "\0",
    "a bell and a backspace": "\x07\x08",
    "a DEL": "\x7f",
}


@pytest.mark.parametrize("unshown", UNSHOWN.values(), ids=UNSHOWN)
@pytest.mark.parametrize("every", [1, 8])
def test_what_no_terminal_shows_parts_no_secret_wherever_the_stream_is_cut(unshown: str, every: int) -> None:
    secret = "sk-secret12345"
    parted = unshown.join(secret[place : place + every] for place in range(0, len(secret), every))
    text = f"before {unshown}{parted}{unshown} after\n".encode()
    expected = f"before {unshown}***{unshown} after\n".encode()
    for cut in range(len(text) + 1):
        redactor = Redactor([secret])
        shown = redactor.feed(text[:cut]) + redactor.feed(text[cut:]) + redactor.flush()
        assert shown == expected, (cut, shown)
    assert redact(f"a {parted} b", [secret]) == redact("a bc d", [f"b{unshown}c"]).replace("d", "b") == "a *** b"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_secret_in_a_wide_encoding_is_masked(encoding: str) -> None:
    redactor = Redactor(["sk-secret12345"])
    for byte in "a sk-secret12345 b\n".encode(encoding):
        assert b"s\0e\0c" not in redactor.feed(bytes([byte])).replace(b"\0\0\0", b"\0")
    assert b"1" not in redactor.flush()


@given(chunks=st.lists(st.text("ab\x1b[m\0\x9b]\x07\n1", max_size=6), max_size=8))
@example(chunks=["ab", "\x1b\x1b", "1ab"])
def test_no_screen_shows_a_secret_however_it_is_parted(chunks: list[str]) -> None:
    redactor, screen = Redactor(["abab"]), Screen()
    shown = [line for chunk in chunks for line in screen.feed(redactor.feed(chunk.encode()))]
    shown += screen.feed(redactor.flush()) + screen.finish()
    assert not any("abab" in line for line in shown)


def test_what_stands_between_the_characters_of_a_secret_is_held_to_an_end() -> None:
    redactor = Redactor(["sk-secret12345"])
    assert sum(len(redactor.feed(b"s" + b"\0" * 65536)) for _ in range(20)) > 18 * 65536
