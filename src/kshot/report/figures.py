"""The figures of a report, each as inline SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kshot.core.registry import missing_extra
from kshot.report.record import finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREY, GREEN = "#3465a4", "#b5485d", "#9a9a9a", "#4e8a3e"
COLOURS = (BLUE, RED, GREEN, "#a0742c", "#6b4c9a")
STYLE: Any = {  # its keys have a type of their own
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "kshot",  # equal records make equal files
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}
Numbers = Sequence[float | int | None]
DRAWN = 4000  # points of a cloud: more are no clearer, and make the file large
ERRORS = (("energy_meV", "energy RMSE (meV)"), ("force_meV_per_A", "force RMSE (meV/Å)"))


def parity(record: Mapping[str, Mapping[str, Numbers]]) -> str:
    """Return predictions against labels: energies in eV, forces in eV/Å."""
    kinds = [("energy", "energy (eV)"), ("forces", "force component (eV/Å)")]
    present = [(record[name], words) for name, words in kinds if name in record]

    def draw(figure: Figure) -> None:
        for axes, (columns, words) in zip(_row(figure, len(present)), present, strict=True):
            _cloud(axes, columns, words)

    return _svg(draw, (4.2 * len(present), 4.0))


def methods(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the error of each method as bars with intervals; plain baselines are grey."""
    shown = [(key, words) for key, words in ERRORS if any(key in row for row in rows)]

    def draw(figure: Figure) -> None:
        for number, (axes, (key, words)) in enumerate(
            zip(_row(figure, len(shown)), shown, strict=True)
        ):
            _bars(axes, rows, key, words)
            if number:
                axes.set_yticklabels([])

    return _svg(draw, (9.0, 0.9 + 0.32 * len(rows))) if shown else ""


def curve(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return errors against labels, intervals as bands, what is extrapolated dashed."""
    shown = [(key, words) for key, words in ERRORS if any(key in row for row in rows)]

    def draw(figure: Figure) -> None:
        for axes, (key, words) in zip(_row(figure, len(shown)), shown, strict=True):
            _learning(axes, rows, key, words)

    return _svg(draw, (4.5 * len(shown), 3.2)) if shown else ""


def dynamics(columns: Mapping[str, Numbers]) -> str:
    """Return energy and temperature of a trajectory against time."""
    kinds = [("energy_eV", "energy (eV)", BLUE), ("temperature_K", "temperature (K)", RED)]
    present = [one for one in kinds if one[0] in columns]
    time = np.array([finite(one) for one in columns["time_fs"]])

    def draw(figure: Figure) -> None:
        grid = figure.subplots(len(present), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, words, colour) in zip(grid, present, strict=True):
            axes.plot(time, [finite(one) for one in columns[name]], color=colour, linewidth=1)
            axes.set(ylabel=words)
            axes.ticklabel_format(axis="y", useOffset=False)
            axes.grid(alpha=0.3)
        grid[-1].set(xlabel="time (fs)")

    return _svg(draw, (9.0, 1.8 * len(present) + 0.4)) if present else ""


def _cloud(axes: Axes, columns: Mapping[str, Numbers], words: str) -> None:
    label = np.array([finite(one) for one in columns["label"]])
    known = label[np.isfinite(label)]
    # total energies are large and their differences small
    middle = float(np.median(known)) if len(known) and abs(known.mean()) > 100 else 0.0
    step = max(1, -(-len(label) // DRAWN))
    predictions = {name: values for name, values in columns.items() if name != "label"}
    for colour, (name, values) in zip(COLOURS * len(columns), predictions.items(), strict=False):
        found = np.array([finite(one) for one in values])
        squares = (found - label)[np.isfinite(found - label)] ** 2
        words_of_error = f", RMSE {np.sqrt(squares.mean()):.3g}" if len(squares) else ""
        axes.plot(
            label[::step] - middle,
            found[::step] - middle,
            "o",
            markersize=3,
            alpha=0.5,
            markeredgewidth=0,
            color=colour,
            label=f"{_plain(name)}{words_of_error}",
        )
    ends = [known.min() - middle, known.max() - middle] if len(known) else []
    axes.plot(ends, ends, color="black", linewidth=0.8)
    less = f", less {middle:.2f}" if middle else ""
    axes.set(xlabel=f"label: {words}{less}", ylabel=f"prediction{less}")
    axes.grid(alpha=0.3)
    if predictions:
        axes.legend(fontsize=8, frameon=False)


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str, words: str) -> None:
    values = [finite(row.get(key)) for row in rows]
    colours = [
        GREEN if row.get("chosen") else GREY if row.get("baseline") else BLUE for row in rows
    ]
    places = np.arange(len(rows))[::-1]
    axes.barh(places, np.nan_to_num(values), color=colours, height=0.7)
    low, high = ([finite(row.get(f"{key}_{end}")) for row in rows] for end in ("low", "high"))
    axes.hlines(places, low, high, color="black", linewidth=0.8, alpha=0.5)
    names = [_plain(row["name"]) + (" (baseline)" if row.get("baseline") else "") for row in rows]
    axes.set_yticks(places, names)
    for place, value in zip(places, values, strict=True):
        text = f" {value:.3g}" if np.isfinite(value) else " none"
        axes.text(max(np.nan_to_num(value), 0.0), place, text, va="center", fontsize=8)
    axes.set(xlabel=words)
    axes.margins(x=0.15)
    axes.grid(axis="x", alpha=0.3)


def _learning(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str, words: str) -> None:
    ordered = sorted(rows, key=lambda row: (finite(row["K"]), bool(row.get("extrapolated"))))
    known = [row for row in ordered if not row.get("extrapolated")]
    beyond = [row for row in ordered if row.get("extrapolated")]
    # the dashed line goes on where the measured one ends.
    lines = [(known[-1:] + beyond, "o--", GREY, "extrapolated")] if beyond else []
    for points, style, colour, label in [*lines, (known, "o-", BLUE, "inside the labels")]:
        x, y, low, high = (
            [finite(row.get(name)) for row in points]
            for name in ("K", key, f"{key}_low", f"{key}_high")
        )
        axes.plot(x, y, style, color=colour, markersize=4, label=label)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="labels (K)", ylabel=words, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)


def _row(figure: Figure, count: int) -> Sequence[Axes]:
    return figure.subplots(1, count, squeeze=False)[0]


def _plain(name: str) -> str:
    return name.replace("$", r"\$")  # not mathematics


def _svg(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    """Return what ``draw`` draws, as SVG without a date."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing_extra("a report with figures", error.name, "plot") from error

    stream = io.StringIO()
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
