"""The results as one page of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kshot.core.units import KCAL_PER_MOL
from kshot.core.whole import whole
from kshot.pipeline.study import words
from kshot.pipeline.study.figure import draw_figure
from kshot.pipeline.study.jobs import Row
from kshot.pipeline.study.run import Study
from kshot.pipeline.study.statistics import (
    Case,
    Trust,
    errors,
    forgotten,
    labels_needed,
    ratio,
    share,
    trust,
)
from kshot.pipeline.study.words import KSHOT, QUANTITIES, called, methods_of, number, shots_of

KCAL = 1e3 * KCAL_PER_MOL  # meV


def write_tables(study: Study, out: Path, title: str, about: Sequence[str] = ()) -> None:
    """Write results.md and results.png into a folder.

    Args:
        study: what has been run; if nothing has, nothing is written.
        out: the folder.
        title: of the page.
        about: lines that stand below it, such as how it is made.
    """
    if not study.rows and not study.old:
        return
    with whole(out / "results.md") as part:
        part.write_text(page(study, title, about), encoding="utf-8")
    if study.rows:
        draw_figure(study.rows, out / "results.png")


def page(study: Study, title: str, about: Sequence[str] = ()) -> str:
    """Return all tables in Markdown; older results stand under a heading of their own."""
    lines = [f"# {title}", "", "Made by kshot; not to be edited.", "", *about, ""]
    if study.rows:
        lines += _whole(study.rows)
    for code in sorted({str(row["code"]) for row in study.old}):
        rows = [row for row in study.old if row["code"] == code]
        heading = f"Older results, not to be compared: code `{code}`"
        lines += ["", f"# {heading}", "", *_whole(rows)]
    return "\n".join(lines).rstrip() + "\n"


def _whole(rows: Sequence[Row]) -> list[str]:
    lines = [*_facts(rows), ""]
    for test in words.tests_of(rows):
        part = [row for row in rows if row["test"] == test]
        families = sorted({row["family"] for row in part})
        about = words.TESTS.get(test)
        lines += [f"## {test}" + (f": {about}" if about else ""), ""]
        lines += [f"{len(families)} families: {', '.join(families)}.", ""]
        for quantity, unit in QUANTITIES.items():
            lines += [f"### {quantity.capitalize()} RMSE, {unit}", ""]
            lines += [*error_table(part, test, quantity), ""]
        lines += ["### How many times kshot's error, on the same labels: energy; forces", ""]
        lines += [*ratio_table(part, test), ""]
        lines += ["### In words", "", *words.sentences(part, test), ""]
        lines += ["### Stated over true error of kshot", "", *trust_table(part, test), ""]
        lines += ["### Family by family", "", *family_table(part, test), ""]
    lines += ["## What was forgotten", ""]
    lines += [
        "Force RMSE on the start's anchors, after over before adaptation: mean (largest).",
        "",
    ]
    lines += [*forgotten_table(rows), ""]
    lines += ["## What was chosen", "", *choices(rows), ""]
    return lines


def _facts(rows: Sequence[Row]) -> list[str]:
    families = {row["family"] for row in rows}
    codes = ", ".join(f"`{code}`" for code in sorted({row["code"] for row in rows}))
    draws = max(row["draw"] for row in rows) + 1
    lines = [
        f"- {len(families)} families; {draws} draws of shots at most; code {codes}",
        "- RMSE of total energies, whose shift is fitted on the shots only, and of forces",
        "- mean over families [95 % interval, bootstrap over families and draws]",
        "- ratios are geometric means over the same families, draws and labels",
    ]
    lines += [f"- computed with {used}" for used in sorted({row["libraries"] for row in rows})]
    shared = sorted({str(row["family"]) for row in rows if row["shares"]})
    if shared:
        lines.append(
            f"- **draws share labels** of {', '.join(shared)}, as their pools are too small: their"
            " intervals are too narrow"
        )
    else:
        lines.append("- no two draws share a label, and no test frame is a shot")
    return lines


Cell = Callable[[str, int], str]


def _table(rows: Sequence[Row], methods: Sequence[str], cell: Cell) -> list[str]:
    """Return a table of methods by K."""
    shots = shots_of(rows)
    lines = [
        "| contestant | families | " + " | ".join(f"K = {k}" for k in shots) + " |",
        "|---" * (len(shots) + 2) + "|",
    ]
    for method in methods:
        count = len({row["family"] for row in rows if row["method"] == method})
        cells = " | ".join(cell(method, k) for k in shots)
        name = f"**{called(method)}**" if method == KSHOT else called(method)
        lines.append(f"| {name} | {count} | {cells} |")
    return lines


def error_table(rows: Sequence[Row], test: str, quantity: str) -> list[str]:
    """Return mean errors of contestants by K, with intervals."""

    def cell(method: str, k: int) -> str:
        found = errors(rows, method, Case(test, k, quantity))
        text = number(found)
        if text and quantity == "energy":
            text += f", {found.mean / KCAL:.2f} kcal/mol"
        return text

    return _table(rows, methods_of(rows), cell)


def ratio_table(rows: Sequence[Row], test: str) -> list[str]:
    """Return errors over kshot's on the same labels, by K, with intervals."""

    def cell(method: str, k: int) -> str:
        both = [number(ratio(rows, method, KSHOT, Case(test, k, q)), 2) for q in QUANTITIES]
        return "; ".join(part for part in both if part)

    return _table(rows, [name for name in methods_of(rows) if name != KSHOT], cell)


def trust_table(rows: Sequence[Row], test: str) -> list[str]:
    """Return how the errors that kshot states compare with the true ones."""
    lines = ["| | " + " | ".join(f"K = {k}" for k in shots_of(rows, KSHOT)) + " |"]
    lines.append("|---" * (len(shots_of(rows, KSHOT)) + 1) + "|")
    for quantity in QUANTITIES:
        cells = []
        for k in shots_of(rows, KSHOT):
            found = trust(rows, KSHOT, Case(test, k, quantity))
            cells.append("" if found is None else _trusted(found))
        lines.append(f"| {quantity} | {' | '.join(cells)} |")
    return lines


def _trusted(found: Trust) -> str:
    text = f"median {found.median:.2f}, {found.within:.0%} within 1.5"
    return text if np.isnan(found.inside) else f"{text}, {found.inside:.0%} in the interval"


def family_table(rows: Sequence[Row], test: str) -> list[str]:
    """Return errors family by family: kshot at every K, the others at the largest they have."""
    columns = [(KSHOT, k) for k in shots_of(rows, KSHOT)]
    columns += [(name, shots_of(rows, name)[-1]) for name in methods_of(rows) if name != KSHOT]
    heads = [f"{called(method)}, K = {k}" for method, k in columns]
    heads.append("labels for 1 kcal/mol")
    lines = [f"| family | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for family in sorted({str(row["family"]) for row in rows}):
        part = [row for row in rows if row["family"] == family]
        cells = [_both(part, method, k, test) for method, k in columns]
        lines.append(f"| {family} | {' | '.join(cells)} | {_needed(part, test)} |")
    return lines


def _both(rows: Sequence[Row], method: str, k: int, test: str) -> str:
    means = {unit: errors(rows, method, Case(test, k, q)).mean for q, unit in QUANTITIES.items()}
    return ", ".join(f"{mean:.0f} {unit}" for unit, mean in means.items() if np.isfinite(mean))


def _needed(rows: Sequence[Row], test: str) -> str:
    means: Mapping[int, float] = {
        k: errors(rows, KSHOT, Case(test, k, "energy")).mean for k in shots_of(rows, KSHOT)
    }
    return labels_needed(means, KCAL) if means else ""


def forgotten_table(rows: Sequence[Row]) -> list[str]:
    """Return what each contestant has made the start forget."""

    def cell(method: str, k: int) -> str:
        found = forgotten(rows, method, k)
        return "" if found is None else f"×{found.mean:.2f} (×{found.most:.2f})"

    known = [name for name in methods_of(rows) if any(cell(name, k) for k in shots_of(rows))]
    return _table(rows, known, cell)


def choices(rows: Sequence[Row]) -> list[str]:
    """Return how often each method was chosen, and how often a grid ended where the choice was."""
    ours = [row for row in rows if row["method"] == KSHOT]
    methods = words.ordered({str(row["chose"]) for row in ours})
    edges = sorted({edge for row in ours for edge in row["edge"]})
    heads = [*map(called, methods), *(f"edge: {edge}" for edge in edges)]
    lines = [f"| K | runs | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for k in shots_of(ours):
        runs = {(row["family"], row["draw"]) for row in ours if row["k"] == k}
        cells = [f"{share(ours, KSHOT, k, _chose(name)):.0%}" for name in methods]
        cells += [f"{share(ours, KSHOT, k, _hit(edge)):.0%}" for edge in edges]
        lines.append(f"| {k} | {len(runs)} | {' | '.join(cells)} |")
    return lines


def _chose(name: str) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        return row["chose"] == name

    return holds


def _hit(edge: str) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        return edge in row["edge"]

    return holds
