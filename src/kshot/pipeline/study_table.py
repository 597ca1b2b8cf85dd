"""The results as one page and one picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

KCAL = 43.364104  # meV
ORDER = (
    "kshot",
    "meta",
    "uniform",
    "head",
    "shift",
    "fine-tune, to convergence",
    "fine-tune, 20 Adam steps",
    "mace-torch, fine-tuned",
    "scratch, to convergence",
    "scratch, 20 Adam steps",
)
WORDS = {
    "kshot": "**kshot** (chosen inside the K)",
    "meta": "Gauss-Newton, meta-learned prior",
    "uniform": "Gauss-Newton, one variance",
    "head": "ridge on the readouts",
    "shift": "zero-shot + shift",
}


def read_results(folder: Path, *digests: str) -> list[dict]:
    """Return all results of a start, and of others that it is compared with."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if record["digest"] in digests:
            rows += [one | {"family": record["family"]} for one in record["rows"]]
    return rows


def write_tables(folder: Path, out: Path, digest: str, *others: str) -> None:
    """Write results.md and results.png from what is there of a start, and of others beside it."""
    rows = read_results(folder, digest, *others)
    if not rows:
        return
    families = sorted({one["family"] for one in rows})
    text = [
        "# Few-shot adaptation on held-out families",
        "",
        "Made by kshot; not to be edited.",
        "",
        f"- start `{digest[:12]}`; {len(families)} held-out families: {', '.join(families)}",
        "- shots and test frames are from independent trajectories",
        "- RMSE of total energies, shift fitted on the support set only, and of force components;",
        "  mean over families, ± standard deviation over seeds within a family, on average",
        "",
    ]
    for quantity, unit in (("energy", "meV"), ("forces", "meV/Å")):
        text += [f"## {quantity.capitalize()}, {unit}", "", *table(rows, quantity), ""]
    text += [
        "## Family by family",
        "",
        *by_family(rows),
        "",
        "## How many times worse than kshot",
        "",
        "Mean errors over what a method has been run on, divided by kshot's on the same families",
        "with the same labels: energy, forces.",
        "",
        *against(rows),
        "",
        "## Labels needed to reach 1 kcal/mol",
        "",
        "The least K tried from which on the energy RMSE, on average over seeds, stays below.",
        "",
        *labels_needed(rows),
        "",
        "## What was chosen",
        "",
        *choices(rows),
        "",
    ]
    (out / "results.md").write_text("\n".join(text))
    picture(rows, out / "results.png")


def mean_and_spread(rows: list[dict], method: str, k: int, quantity: str) -> tuple:
    """Return the mean over families, the mean spread over seeds, and how many families there are.

    A family that has been run with one seed so far has no spread, and does not count in its mean.
    """
    found: dict[str, list[float]] = {}
    for one in rows:
        if one["method"] == method and one["k"] == k:
            found.setdefault(one["family"], []).append(1e3 * one[quantity])
    if not found:
        return float("nan"), float("nan"), 0
    spreads = [np.std(values) for values in found.values() if len(values) > 1] or [np.nan]
    return float(np.mean([np.mean(v) for v in found.values()])), float(np.mean(spreads)), len(found)


def table(rows: list[dict], quantity: str) -> list[str]:
    """Return a table of methods by K."""
    shots = sorted({one["k"] for one in rows})
    lines = [
        "| method | families | " + " | ".join(f"K = {k}" for k in shots) + " |",
        "|---" * (len(shots) + 2) + "|",
    ]
    for method in (m for m in ORDER if any(one["method"] == m for one in rows)):
        cells = []
        for k in shots:
            mean, spread, count = mean_and_spread(rows, method, k, quantity)
            extra = f" ({mean / KCAL:.2f} kcal/mol)" if quantity == "energy" and count else ""
            around = f" ± {spread:.1f}" if np.isfinite(spread) else ""
            cells.append(f"{mean:.1f}{around}{extra}" if count else "")
        families = len({one["family"] for one in rows if one["method"] == method})
        lines.append(f"| {WORDS.get(method, method)} | {families} | " + " | ".join(cells) + " |")
    return lines


def by_family(rows: list[dict]) -> list[str]:
    """Return errors of kshot and of the baselines, family by family; only these compare."""
    shots = sorted({one["k"] for one in rows})
    columns = [("kshot", k) for k in sorted({shots[0], *shots[-2:]})] + [
        (method, shots[-1]) for method in ORDER[4:] if any(one["method"] == method for one in rows)
    ]
    heads = [f"{method}, K = {k}" for method, k in columns]
    lines = [f"| family | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for family in sorted({one["family"] for one in rows}):
        cells = []
        for method, k in columns:
            some = [
                o for o in rows if o["family"] == family and o["method"] == method and o["k"] == k
            ]
            energy, forces = (
                1e3 * np.mean([o[q] for o in some]) if some else np.nan
                for q in ("energy", "forces")
            )
            cells.append(f"{energy:.0f} meV, {forces:.0f} meV/Å" if some else "")
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    return lines


def against(rows: list[dict]) -> list[str]:
    """Return how many times larger the errors of each method are than kshot's."""
    shots = sorted({one["k"] for one in rows})
    lines = [
        "| method | families | " + " | ".join(f"K = {k}" for k in shots) + " |",
        "|---" * (len(shots) + 2) + "|",
    ]
    case = lambda one: (one["family"], one["k"], one["seed"])  # noqa: E731
    for method in (m for m in ORDER[1:] if any(one["method"] == m for one in rows)):
        cases = {case(one) for one in rows if one["method"] == method}
        same = [one for one in rows if case(one) in cases]
        cells = []
        for k in shots:
            energy, forces = (
                mean_and_spread(same, method, k, quantity)[0]
                / mean_and_spread(same, "kshot", k, quantity)[0]
                for quantity in ("energy", "forces")
            )
            cells.append(f"{energy:.2f}, {forces:.2f}" if np.isfinite(energy) else "")
        families = len({family for family, _, _ in cases})
        lines.append(f"| {WORDS.get(method, method)} | {families} | {' | '.join(cells)} |")
    return lines


def labels_needed(rows: list[dict], goal: float = KCAL) -> list[str]:
    """Return a table of methods by family: from which K on the energy error is below a goal."""
    methods = [method for method in ORDER if any(one["method"] == method for one in rows)]
    lines = [f"| family | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|"]
    for family in sorted({one["family"] for one in rows}):
        cells = []
        for method in methods:
            errors: dict[int, list[float]] = {}
            for one in rows:
                if one["family"] == family and one["method"] == method:
                    errors.setdefault(one["k"], []).append(1e3 * one["energy"])
            cells.append(_least(errors, goal))
        lines.append(f"| {family} | {' | '.join(cells)} |")
    return lines


def _least(errors: Mapping[int, Sequence[float]], goal: float) -> str:
    """Say the least K from which on the mean error is below a goal."""
    if not errors:
        return ""
    shots, reached = sorted(errors), None
    for k in reversed(shots):
        if np.mean(errors[k]) > goal:
            break
        reached = k
    if reached is None:
        return f"> {shots[-1]}"
    return f"≤ {reached}" if reached == shots[0] else f"{reached}"


def choices(rows: list[dict]) -> list[str]:
    """Return how often cross-validation chose each method."""
    lines = ["| K | " + " | ".join(ORDER[1:5]) + " |", "|---" * 5 + "|"]
    for k in sorted({one["k"] for one in rows}):
        made = [one["chose"] for one in rows if one["method"] == "kshot" and one["k"] == k]
        lines.append(f"| {k} | " + " | ".join(str(made.count(name)) for name in ORDER[1:5]) + " |")
    return lines


def everywhere(rows: list[dict]) -> list[str]:
    """Return the methods that have been run on all families: only their means compare."""
    families = {method: {o["family"] for o in rows if o["method"] == method} for method in ORDER}
    most = max(map(len, families.values()))
    return [method for method, those in families.items() if len(those) == most]


def picture(rows: list[dict], path: Path) -> None:
    """Draw error against K."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, ScalarFormatter

    shots = sorted({one["k"] for one in rows})
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    for axis, quantity, unit in zip(axes, ("energy", "forces"), ("meV", "meV/Å"), strict=True):
        for method in everywhere(rows):
            every = [(k, mean_and_spread(rows, method, k, quantity)) for k in shots]
            known = [(k, *point) for k, point in every if point[2]]
            kshot = {"lw": 2.5, "color": "black", "zorder": 3}
            style = kshot if method == "kshot" else {"lw": 1.2, "alpha": 0.85}
            axis.errorbar(
                [k for k, *_ in known],
                [mean for _, mean, *_ in known],
                [spread for _, _, spread, _ in known],
                marker="o",
                ms=3.5,
                capsize=2,
                label=WORDS.get(method, method).replace("**", ""),
                **style,
            )
        axis.set(xscale="log", yscale="log", xlabel="labels K", ylabel=f"{quantity} RMSE, {unit}")
        axis.set_xticks(shots, [str(k) for k in shots])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 6, 8)))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].axhline(KCAL, ls=":", color="0.4")
    axes[0].annotate("1 kcal/mol", (shots[0], KCAL), fontsize=8, color="0.4", va="bottom")
    said = axes[0].get_legend_handles_labels()
    figure.legend(*said, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
