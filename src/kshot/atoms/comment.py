"""The second line of an extxyz frame: ``key=value`` pairs, with quotes and escapes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

Value = str | int | float | bool

QUOTED = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'"
BRACKETS = r"\{[^{}]*\}|\[.*?\](?=\s|$)"
PAIR = re.compile(rf"\s*({QUOTED}|[^\s=\"']+)(?:\s*=\s*({QUOTED}|{BRACKETS}|[^\s\"']\S*|))?")
ESCAPE = re.compile(r"\\(.)", re.S)
INTEGER = re.compile(r"[+-]?\d+")
REAL = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf|nan)", re.I)
WORDS = {"T": True, "F": False, "true": True, "false": False, "True": True, "False": False}
WORDS |= {"TRUE": True, "FALSE": False}
NAME = re.compile(r"[A-Za-z_][\w.\-]*", re.A)
PLAIN = re.compile(r"[\w.+\-/:@%*()]+")


class BadCommentError(ValueError):
    """The line is not of ``key=value`` pairs."""


def split(line: str) -> dict[str, str]:
    """Return the pairs of a comment line as text; a lone word is the key of ``T``.

    Raises:
        BadCommentError: a quote is not closed, or a pair has no key.
    """
    found: dict[str, str] = {}
    place, line = 0, line.strip()
    while place < len(line):
        match = PAIR.match(line, place)
        if match is None or match.end() == place:
            raise BadCommentError(
                f"its second line cannot be read from {line[place : place + 20]!r}"
            )
        key, value = match.groups()
        found[_unquoted(key)] = "T" if value is None else _unquoted(value)
        place = match.end()
    return found


def value(text: str) -> Value:
    """Return the logical, integer, real or text that a value stands for."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if REAL.fullmatch(text) else text


def reals(text: str) -> list[float]:
    """Return the numbers of a value such as ``"1 0 0 0 1 0"``; ValueError if there are others."""
    return [float(word) for word in text.replace(",", " ").strip("[]{}").split()]


def quoted(text: str) -> str:
    """Return a value as it is written: in quotes where it needs them."""
    if PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(given: Value) -> str:
    """Return a value as it is written, so that `value` gives it back if it can."""
    if isinstance(given, bool):
        return "T" if given else "F"
    return quoted(given if isinstance(given, str) else repr(given))


def comes_back(key: str, given: object) -> bool:
    """Whether a pair, written plainly, is read as what it was."""
    if not NAME.fullmatch(key) or (isinstance(given, str) and not given.isprintable()):
        return False
    if not isinstance(given, str | int | float | bool):
        return False
    try:
        read = split(f"{key}={written(given)}")
    except BadCommentError:
        return False
    back = value(read.get(key, ""))
    return list(read) == [key] and type(back) is type(given) and back == given


def as_json(values: Mapping[str, object]) -> str:
    """Return what cannot be written plainly, as one quoted value."""
    return quoted(json.dumps(dict(values), sort_keys=True))


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return ESCAPE.sub(r"\1", text[1:-1])
    return text
