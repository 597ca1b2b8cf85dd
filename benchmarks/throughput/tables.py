"""The tables of ``results.md``, from the rows of all devices."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

KSHOT, TORCH, CUEQ = "kshot", "mace-torch", "mace-torch + cuEquivariance"
COLUMNS = (KSHOT, TORCH, CUEQ)
WAYS = ((KSHOT, "scan"), (TORCH, "ASE"), (TORCH, "bare loop"), (CUEQ, "ASE"), (CUEQ, "bare loop"))


def key(row: dict) -> tuple:
    """Return what a row is of, but for its contestant."""
    return tuple(row.get(name) for name in ("what", "size", "batch", "molecule", "way", "replicas"))


def device(rows: Iterable[dict]) -> str:
    """Return the name of the device, of the first process that says it."""
    names = [row["device"] for row in rows if row["what"] == "device"]
    return names[0] if names else "unknown"


def brief(row: dict) -> str:
    """Return a row as a line for those who wait."""
    if row["what"] == "device":
        return " ".join(f"{name} {value}" for name, value in row.items() if name != "what")
    about = ", ".join(f"{part}" for part in key(row) if part is not None)
    return f"{about}: {rate(row)}"


def rate(row: dict | None) -> str:
    """Return a row's median rate with half its range, or why there is none."""
    if row is None:
        return "not measured"
    if "missing" in row:
        return f"missing: {row['missing']}".replace("|", "/")
    middle = statistics.median(row["per_second"])
    spread = (max(row["per_second"]) - min(row["per_second"])) / 2 / middle
    return f"{middle:,.{0 if middle >= 100 else 1}f} ± {spread:.0%}"


def ratio(over: dict | None, under: dict | None) -> str:
    """Return one median rate over another; a dash where one is missing."""
    if any(row is None or "missing" in row for row in (over, under)):
        return "–"
    upper, lower = (statistics.median(row["per_second"]) for row in (over, under))
    return f"{upper / lower:.2f}"


def page(every: list[dict]) -> str:
    """Return the whole page."""
    lines = ["# Throughput of kshot's MACE beside mace-torch", ""]
    lines += ["What the columns mean, and how they are measured: `README.md`.", ""]
    for whole in every:
        about = whole["about"]
        lines += [f"## {about['device']}", ""]
        versions = ", ".join(f"{name} {value}" for name, value in about["versions"].items())
        lines += [f"By `{about['command']}`, on {about['cores']} cores of {about['processor']}."]
        lines += [f"Matrix products in {about['matrix products']}. {versions}.", ""]
        lines += [*training(whole["rows"]), "", *dynamics(whole["rows"]), ""]
    return "\n".join(lines)


def training(rows: list[dict]) -> list[str]:
    """Return the table of training."""
    held = {(row["contestant"], *key(row)): row for row in rows if row["what"] == "train"}
    head = ["size", "structures a step", *(f"{name}, structures/s" for name in COLUMNS)]
    head += [f"kshot over {name}" for name in COLUMNS[1:]]
    head += ["memory in MiB, in the same order", "parameters, likewise", "first losses differ by"]
    body = []
    for wanted in dict.fromkeys(key(row) for row in held.values()):
        found = [held.get((name, *wanted)) for name in COLUMNS]
        body.append(
            [wanted[1], str(wanted[2]), *map(rate, found)]
            + [ratio(found[0], other) for other in found[1:]]
            + [each(found, "memory_mib"), each(found, "parameters"), apart(found, "loss")]
        )
    return ["### Training", "", *table(head, body)]


def dynamics(rows: list[dict]) -> list[str]:
    """Return the table of molecular dynamics."""
    held = {(row["contestant"], *key(row)): row for row in rows if row["what"] == "md"}
    head = ["size", "molecule", "replicas", *(f"{name}, {way}: steps/s" for name, way in WAYS)]
    head += [f"kshot over {name}, {way}" for name, way in WAYS[1:]]
    head += ["first energies differ by"]
    body = []
    settings = [(row["size"], row["molecule"], row["replicas"]) for row in held.values()]
    for size, molecule, replicas in sorted(dict.fromkeys(settings), key=settings.index):
        found = [held.get((name, "md", size, None, molecule, way, replicas)) for name, way in WAYS]
        shown = ["–" if row is None else rate(row) for row in found]
        ratios = [ratio(found[0], other) for other in found[1:]]
        row = [size, molecule, str(replicas), *shown, *ratios, apart(found, "energy")]
        body.append(row)
    return ["### Molecular dynamics", "", *table(head, body)]


def each(rows: Iterable[dict | None], field: str) -> str:
    """Return a field of all rows, a dash where there is none."""
    values = [None if row is None else row.get(field) for row in rows]
    return " / ".join("–" if value is None else f"{value:,.0f}" for value in values)


def apart(rows: Iterable[dict | None], field: str) -> str:
    """Return by what part of itself a field differs between rows; a dash for fewer than two."""
    values = [row[field] for row in rows if row is not None and field in row]
    if len(values) < 2:
        return "–"
    return f"{(max(values) - min(values)) / max(map(abs, values)):.0e}"


def table(head: list[str], body: list[list[str]]) -> list[str]:
    """Return the lines of a table."""
    rows = [head, ["---"] * len(head), *body]
    return [f"| {' | '.join(row)} |" for row in rows]
