"""A terminal's colours as HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.output.line import STYLE
from trainci.serve.ansi import colored


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mred\x1b[0m plain", '<span class="ink-red">red</span> plain'),
        ("\x1b[1;92mok", '<span class="bold ink-green">ok</span>'),
        ("\x1b[4mu\x1b[24mn", '<span class="underlined">u</span>n'),
        ("\x1b[38;5;9mx\x1b[39my", '<span class="ink-red">x</span>y'),
        ("\x1b[38;2;10;20;250mx", '<span class="ink-blue">x</span>'),
        ("\x1b[41mx\x1b[49my", '<span class="paper-red">x</span>y'),
        ("\x1b[38;5mx", '<span class="ink-black">x</span>'),
        ("a\tb\u202ec", "a\tb\\u202ec"),
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
    ],
)
def test_colours_are_classes_and_the_rest_is_text(line: str, shown: str) -> None:
    assert colored(line) == shown


class _Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: set[str] = set()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@given(
    st.lists(
        st.sampled_from(["\x1b[31m", "\x1b[0m", "\x1b[38;5;200m", "\x1b[48;2;1m", "<", "&lt;", "'", "x", "\x00"])
    )
)
def test_whatever_a_line_holds_only_spans_with_classes_come_of_it(parts: list[str]) -> None:
    line = "".join(parts)
    read = _Read()
    read.feed(str(colored(line)))
    read.close()
    assert read.tags <= {"span"} and read.names <= {"class"}
    assert read.text == STYLE.sub("", line).replace("\x00", "\\x00")
