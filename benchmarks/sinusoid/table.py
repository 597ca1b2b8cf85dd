"""Draw the table (results.md) and the picture (results.png) from the jobs' results."""

from __future__ import annotations

import json
import platform
from collections import defaultdict

import numpy as np
from setting import EVAL_STEPS, HERE, RESULTS, SHOTS, TEST_TASKS

PUBLISHED = {
    ("MAML as published [1]", 5): (0.67, 0.38, 0.35),
    ("pre-training as published [1]", 5): (2.41, 2.23, 2.19),
    ("Meta-SGD, best published found", 5): (0.48, None, None),
    ("Meta-SGD, best published found", 10): (0.26, None, None),
    ("Meta-Curvature, best published found", 5): (0.41, None, None),
    ("Meta-Curvature, best published found", 10): (0.20, None, None),
}


def load() -> dict[str, dict[int, list[dict]]]:
    """Return algorithm → K → the records of its seeds."""
    found: dict = defaultdict(lambda: defaultdict(list))
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text())
        found[record["algorithm"]][record["shots"]].append(record)
    return found


def chosen_on_validation(records: dict[str, dict[int, list[dict]]], family: str) -> dict:
    """Return K → rows of an algorithm whose number of inner steps validation tasks have chosen.

    For every seed and number of test steps, the setting with the least validation error; nothing
    for a seed of which some setting has been run without validation.
    """
    rows: dict[int, list[dict]] = {}
    names = [name for name in records if name.startswith(f"{family}, k=")]
    for shots in SHOTS:
        for seed in sorted({r["seed"] for name in names for r in records[name][shots]}):
            settings = [r for name in names for r in records[name][shots] if r["seed"] == seed]
            if not all("validation" in r for r in settings):
                continue
            best = {
                str(s): min(settings, key=lambda r, s=str(s): r["validation"][s])
                for s in EVAL_STEPS
            }
            rows.setdefault(shots, []).append(
                {
                    **settings[0],
                    "algorithm": f"{family}, k chosen on validation tasks",
                    "outer_steps": max(r["outer_steps"] for r in settings),
                    "cpu_seconds": sum(r["cpu_seconds"] for r in settings),
                    "steps": {
                        s: {**r["steps"][s], "variant": r["algorithm"].removeprefix(f"{family}, ")}
                        for s, r in best.items()
                    },
                }
            )
    return rows


def cell(records: list[dict], steps: int) -> str:
    """Return mean ± standard deviation over seeds, and how many tasks diverged."""
    rows = [r["steps"][str(steps)] for r in records]
    values = np.array([row["mse"] for row in rows])
    diverged = sum(row["diverged"] for row in rows)
    text = f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")
    return text + (f" ({diverged} diverged)" if diverged else "")


def markdown(found: dict) -> str:
    """Return the table."""
    lines = [
        f"Mean query MSE over {TEST_TASKS} unseen tasks, ± deviation over n seeds, after 1,",
        "5 and 10 steps on K shots; closed forms take one. Lower is better. Regenerate with",
        "`python benchmarks/sinusoid/run.py`. Waves are a sin x + b cos x, linear in two features:",
        "a closed-form head that has learned those two needs no more than two labels.",
        "",
        "| algorithm | K | outer steps | 0 steps | 1 step | 5 steps | 10 steps | CPU s | n |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for shots in SHOTS:
        order = sorted(found, key=lambda n: best(found[n][shots]))
        for name in (n for n in order if found[n][shots]):
            records = found[name][shots]
            cells = " | ".join(cell(records, s) for s in EVAL_STEPS)
            cpu = np.median([r["cpu_seconds"] for r in records])
            outer = f"{records[0]['outer_steps']:,}"
            lines.append(f"| {name} | {shots} | {outer} | {cells} | {cpu:.0f} | {len(records)} |")
        for (name, k), values in PUBLISHED.items():
            if k == shots:
                told = " | ".join("–" if v is None else f"{v:.2f}" for v in values)
                lines.append(f"| *{name}* | {k} | 70,000 | – | {told} | – | – |")
    picks = sorted({variants(r) for rs in found.values() for k in rs.values() for r in k} - {""})
    lines += ["", "[1] Finn et al. 2017, arXiv 1703.03400, table 2.", "", *picks]
    lines += ["", f"Python {platform.python_version()}, {platform.machine()}, one thread per job."]
    return "\n".join(lines) + "\n"


def best(records: list[dict]) -> float:
    """Return the least mean error over step counts, to order the rows by."""
    if not records:
        return float("inf")
    return min(np.mean([r["steps"][str(s)]["mse"] for r in records]) for s in EVAL_STEPS)


def variants(record: dict) -> str:
    """Return what validation picked for a tuned baseline, as a line."""
    picked = {s: row["variant"] for s, row in record["steps"].items() if row["variant"]}
    if not picked:
        return ""
    told = ", ".join(f"{name} at {s}" for s, name in picked.items())
    return f"- {record['algorithm']}, K = {record['shots']}, seed {record['seed']}: {told}"


def picture(found: dict) -> None:
    """Draw error after one and ten steps for every algorithm."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(SHOTS), figsize=(11, 5), sharex=True, layout="constrained")
    for axis, shots in zip(axes, SHOTS, strict=True):
        order = sorted((n for n in found if found[n][shots]), key=lambda n: -best(found[n][shots]))
        for steps, mark in ((1, "o"), (5, "s"), (10, "D")):
            rows = [[r["steps"][str(steps)]["mse"] for r in found[n][shots]] for n in order]
            spread = [np.std(row) for row in rows]
            axis.errorbar(
                [np.mean(row) for row in rows],
                range(len(order)),
                xerr=spread,
                fmt=mark,
                label=f"{steps} step" + "s" * (steps > 1),
                alpha=0.8,
            )
        axis.set(title=f"K = {shots}", xscale="log", xlabel="query MSE, 1,000 unseen sinusoids")
        axis.set_yticks(range(len(order)), order)
        axis.grid(axis="x", alpha=0.3)
    axes[0].legend()
    figure.savefig(HERE / "results.png", dpi=130)


def main() -> None:
    """Write results.md and results.png."""
    found = load()
    rows = chosen_on_validation(found, "maml")
    found["maml, k chosen on validation tasks"] = defaultdict(list, rows)
    (HERE / "results.md").write_text(markdown(found))
    picture(found)
    print(f"wrote {HERE / 'results.md'} and results.png")


if __name__ == "__main__":
    main()
