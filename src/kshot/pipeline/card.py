"""The card of a start: what it is, what it has seen, how well it does, where its limits are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kshot.pipeline.study_table import by_family, labels_needed, table


def card(name: str, summary: dict[str, Any], rows: Sequence[dict[str, Any]] = ()) -> str:
    """Return a card in Markdown.

    Args:
        name: of the start.
        summary: what its file says of itself, see `kshot.potentials.model_file.summary`.
        rows: of a study with this very start, see `kshot.pipeline.study_table.read_results`.
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


def _errors(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["", "No study of this start is known."]
    mine = [one for one in rows if one["method"] in {"kshot", "shift"}]
    families = {one["family"] for one in rows}
    worst = max(
        (one for one in mine if one["method"] == "kshot"),
        key=lambda one: (one["k"], one["forces"]),
    )
    lines = ["", f"## Errors on {len(families)} held-out families"]
    for quantity, unit in (("energy", "meV"), ("forces", "meV/Å")):
        lines += ["", f"{quantity.capitalize()}, {unit}:", "", *table(mine, quantity)]
    lines += ["", *by_family(mine), "", "Labels needed to reach 1 kcal/mol:", ""]
    lines += labels_needed(mine)
    limit = (
        f"The hardest of them: {worst['family']}, {1e3 * worst['forces']:.0f} meV/Å after "
        f"K = {worst['k']}."
    )
    return [*lines, "", limit]
