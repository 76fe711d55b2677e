"""What a response earns, read letter by letter."""

from __future__ import annotations


def answer(text: str) -> int | None:
    """The number that stands behind the last four hashes that have one; commas within it are left out."""
    found = None
    for place in range(len(text)):
        if not text[:place].endswith("####"):
            continue
        rest = text[place:].lstrip()
        sign = rest[:1] == "-"
        digits = ""
        for number, letter in enumerate(rest[1:] if sign else rest):
            if letter in "0123456789" or (letter == "," and number):
                digits += letter
            else:
                break
        if digits:
            found = int(digits.replace(",", "")) * (-1 if sign else 1)
    return found


def by_rule(response: str, label: str) -> float:
    """1 for the right number, 0.1 for another one, nothing for none."""
    given = answer(response)
    return 0.0 if given is None else 1.0 if given == answer(label) else 0.1


def digits(response: str, longest: int) -> float:
    """How many digits a response has, by the tokens that it may have at most."""
    return len([letter for letter in response if letter in "0123456789"]) / longest
