"""The card of a start: what it is, what it has seen, how well it does, where its limits are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kshot.pipeline.study.jobs import Row
from kshot.pipeline.study.tables import choices, error_table, forgotten_table, ratio_table
from kshot.pipeline.study.words import KSHOT, QUANTITIES, sentences, tests_of


def card(name: str, summary: dict[str, Any], rows: Sequence[Row] = ()) -> str:
    """Return a card in Markdown.

    Args:
        name: of the start.
        summary: what its file says of itself, see `kshot.potentials.model_file.summary`.
        rows: of a study with this very start, see `kshot.pipeline.study.store.read_rows`.
    """
    return "\n".join([*_what(name, summary), *_seen(summary), *_errors(list(rows)), ""])


def _what(name: str, summary: dict[str, Any]) -> list[str]:
    config = summary["record"].get("config", {})
    size = f"{summary['parameters']:,} parameters, {summary['bytes'] / 1e6:.2f} MB"
    which = f"cutoff {summary['cutoff_A']:g} Å, digest `{summary['digest'][:12]}`"
    lines = [f"# {name}", "", "Made by kshot; not to be edited.", ""]
    lines.append(f"- {summary['potential']}, {size}, {which}")
    if joint := config.get("joint"):
        meta = config["meta"].get("algorithm") or "none but the prior of Gauss-Newton"
        lines.append(
            f"- joint training: {joint['steps']:,} steps of about "
            f"{joint['batch'] * joint.get('packs', 1)} structures; "
            f"meta-training: {meta}"
        )
    return lines


def _seen(summary: dict[str, Any]) -> list[str]:
    seen, record = summary["seen"], summary["record"]
    chosen = record.get("config", {}).get("families", {})
    charges = ", ".join(f"{charge:+d}" for charge in seen["charges"])
    spins = ", ".join(map(str, seen["multiplicities"]))
    lines = [
        "",
        "## What it has seen",
        "",
        f"- elements {' '.join(seen['elements'])}; charges {charges}; multiplicities {spins}",
        f"- level of theory: {', '.join(seen['levels']) or 'none stated'}",
        "- anything else is refused unless `--allow` lets it through",
    ]
    if families := record.get("families", []):
        lines.append(f"- {len(families)} families trained on: {', '.join(families)}")
    if "most_atoms" in chosen:
        lines.append(f"- molecules of at most {chosen['most_atoms']} atoms")
    kinds = {
        "held_out": "held out from everything",
        "relatives": "kept out as relatives of those",
        "validation": "seen only to choose and to learn the prior",
    }
    for key, words in kinds.items():
        if those := chosen.get(key):
            lines.append(f"- {len(those)} {words}: {', '.join(those)}")
    return lines


def _errors(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["", "No study of this start is known."]
    families = sorted({str(row["family"]) for row in rows})
    lines = [
        "",
        f"## Errors on {len(families)} families of a study",
        "",
        f"Code `{rows[0]['code']}`, families: {', '.join(families)}.",
        "Mean over families [95 % interval, bootstrap over families and draws of shots].",
    ]
    for test in tests_of(rows):
        part = [row for row in rows if row["test"] == test]
        for quantity, unit in QUANTITIES.items():
            lines += ["", f"{quantity.capitalize()} on {test}, {unit}:", ""]
            lines += error_table(part, test, quantity)
        lines += ["", f"Times kshot's error on {test}, energy; forces:", ""]
        lines += [*ratio_table(part, test), "", *sentences(part, test)]
    lines += ["", "Forces on the start's anchors, after over before adaptation:", ""]
    lines += [*forgotten_table(rows), "", *choices(rows), ""]
    return [*lines, _hardest(rows)]


def _hardest(rows: Sequence[Row]) -> str:
    """Return where adaptation with the most labels is worst."""
    worst = max(
        (row for row in rows if row["method"] == KSHOT),
        key=lambda row: (row["k"], row["forces"]),
    )
    return (
        f"The hardest of them: {worst['family']} on {worst['test']}, "
        f"{1e3 * worst['energy']:.0f} meV and {1e3 * worst['forces']:.0f} meV/Å after "
        f"K = {worst['k']}."
    )
