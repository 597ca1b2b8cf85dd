"""The page: sections of what a record holds, each left out where there is nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from kshot.core.whole import whole
from kshot.report import figures
from kshot.report.record import check, finite

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; border-bottom: 1px solid #ddd; }
.summary { font-size: 1.05rem; white-space: pre-line; }
.note { color: #666; font-size: .9rem; margin: .2rem 0; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top;
         overflow-wrap: anywhere; }
th { font-weight: 600; border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; }
tr.chosen td { font-weight: 600; }
.provenance td { font-size: .85rem; }
.provenance td:first-child { color: #666; white-space: nowrap; }
"""


def write(path: Path | str, record: Mapping[str, Any]) -> None:
    """Write a record as one HTML file, whole or not at all.

    Args:
        path: the file; replaced if it exists.
        record: what to show; see `kshot.report.record.check`.

    Raises:
        DataError: the record has keys that reports do not know, or values of other types.
        MissingExtraError: matplotlib is not installed.
    """
    path, text = Path(path), page(record)
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def page(record: Mapping[str, Any]) -> str:
    """Return a record as HTML that loads nothing from anywhere.

    Raises:
        DataError: the record has keys that reports do not know, or values of other types.
        MissingExtraError: matplotlib is not installed.
    """
    check(record)
    title = escape(record.get("title") or "kshot report")
    body = "\n".join(_sections(record))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{body}\n</body></html>\n"
    )


def _sections(record: Mapping[str, Any]) -> Iterator[str]:
    if summary := record.get("summary"):
        yield f'<p class="summary">{escape(summary)}</p>'
    if rows := record.get("methods"):
        note = (
            "Errors to expect on new frames like the labelled ones, with intervals that hold nine "
            "of ten. Another conformer, or much hotter frames, may be several times worse. Green: "
            "chosen. Grey: plain baseline."
        )
        yield _section("Methods", note, _own(figures.methods(rows), "m") + _methods(rows))
    if columns := record.get("parity"):
        note = "Each point is one energy, or one component of one force, that was not learned from."
        yield _section("Labels and predictions", note, _own(figures.parity(columns), "p"))
    if rows := record.get("curve"):
        note = (
            "Expected error against the number of labels. Dashed: extrapolated, by a straight line "
            "through logarithms; a trend, not a promise."
        )
        yield _section("Learning curve", note, _own(figures.curve(rows), "c"))
    if drift := record.get("forgetting"):
        note = "Error on anchors: molecules the start knew, before and after adaptation."
        yield _section("Forgetting", note, _drift(drift))
    if columns := record.get("md"):
        note = "A trajectory with the adapted potential."
        yield _section("Molecular dynamics", note, _own(figures.dynamics(columns), "d"))
    if provenance := record.get("provenance"):
        rows = [(name, value) for name, value in _flat("", provenance)]
        yield _section("Provenance", "", _table(("", ""), rows, "provenance"))


def _section(title: str, note: str, body: str) -> str:
    words = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{words}{body}</section>"


def _own(svg: str, prefix: str) -> str:
    """Return a figure with names of its own: those of two on one page would meet."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    return re.sub(r"url\(#", f"url(#{prefix}-", svg)


def _methods(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [
        (
            escape(row["name"]),
            _interval(row, "energy_meV"),
            _interval(row, "force_meV_per_A"),
            ", ".join(word for word in ("chosen", "baseline") if row.get(word)),
        )
        for row in rows
    ]
    head = ("method", "energy (meV)", "force (meV/Å)", "")
    marked = [bool(row.get("chosen")) for row in rows]
    lines = [_line("th", head)] + [
        _line("td", one, "chosen" if chosen else "")
        for one, chosen in zip(cells, marked, strict=True)
    ]
    return f"<table>{''.join(lines)}</table>"


def _drift(record: Mapping[str, Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for errors in record.values() for name in errors)
    lines = [_line("th", ("", *record))] + [
        _line("td", (escape(str(name)), *[_figure(errors.get(name)) for errors in record.values()]))
        for name in names
    ]
    return f"<table>{''.join(lines)}</table>"


def _line(tag: str, cells: Sequence[str], name: str = "") -> str:
    kinds = ["", *[' class="number"'] * (len(cells) - 1)]
    inner = "".join(f"<{tag}{k}>{c}</{tag}>" for k, c in zip(kinds, cells, strict=True))
    return f'<tr class="{name}">{inner}</tr>' if name else f"<tr>{inner}</tr>"


def _interval(row: Mapping[str, Any], key: str) -> str:
    """Return a number, and the ends of its interval where there are any."""
    ends = [row.get(f"{key}_{end}") for end in ("low", "high")]
    inside = "" if None in ends else f" ({'–'.join(map(_figure, ends))})"
    return _figure(row.get(key)) + inside


def _figure(value: float | int | None) -> str:
    number = finite(value)
    return "–" if number != number else f"{number:.4g}"


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Yield each value under its dotted name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value)) or "none"
    else:
        yield name, "none" if value is None else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> str:
    lines = [_line("th", head)] if any(head) else []
    lines += ["<tr>" + "".join(f"<td>{escape(one)}</td>" for one in row) + "</tr>" for row in rows]
    return f'<table class="{name}">{"".join(lines)}</table>'
