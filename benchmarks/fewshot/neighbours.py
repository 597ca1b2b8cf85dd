"""Scan the study's test families for near neighbours among the families that a start was made of.

    python benchmarks/fewshot/neighbours.py

Prints and writes ``neighbours.md``. The exit status is 1 if any test family has a near neighbour.
The rule is that of `kshot.families.distributions.near_neighbours`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kshot.core.whole import whole
from kshot.families import load_catalogue
from kshot.families.distributions.neighbours import COVERED, EDITS, Likeness, likeness
from kshot.families.family import Family
from kshot.pipeline.config import load_config
from kshot.pipeline.families import chosen

HERE = Path(__file__).parent
LEAST = 0.25  # coverages below this are not searched for
SHOWN = 8  # names of near neighbours in the table
HEAD = f"""# Near neighbours

Written by `python benchmarks/fewshot/neighbours.py`: each test family against the {{training}}
families that train and the {{validation}} that validate `bio-small`. A family is a near neighbour
if at most {EDITS} edits of the graph of heavy atoms separate it from the tested molecule, if the
largest common substructure holds at least {COVERED:.0%} of the tested molecule's heavy atoms, or if
both have the same metal with the same kind of donor. Coverages below
{LEAST:.0%} are not looked for.
"""
COLUMNS = "| family | most alike | edits | coverage | verdict |\n|---|---|---|---|---|\n"


def test_families() -> list[Family]:
    """Return the families of ``families.toml``."""
    known = {family.name for family in load_catalogue()}
    return [f for f in load_catalogue(HERE / "families.toml") if f.name not in known]


def row(family: Family, found: Sequence[Likeness]) -> str:
    """Return the table's row of one tested family: its near neighbours, or the most alike."""
    near = [each.family for each in found if each.near]
    verdict = "no near neighbour"
    if near:
        verdict = f"{len(near)} near: {', '.join(near[:SHOWN])}" + (" …" if near[SHOWN:] else "")
    best = found[0]
    edits = f"> {EDITS}" if best.edits is None else str(best.edits)
    cut = " (search cut short)" if best.timed_out else ""
    coverage = f"{best.coverage:.0%}{cut}"
    return f"| {family.name} | {best.family} | {edits} | {coverage} | {verdict} |\n"


def main() -> int:
    """Scan, write, and return the exit status."""
    families = chosen(load_config(HERE / "bio-small.yaml").families)
    seen = (*families.training, *families.validation)
    counts = {"training": len(families.training), "validation": len(families.validation)}
    text, near = HEAD.format(**counts) + "\n## Test families\n\n" + COLUMNS, 0
    print(text, end="")
    for family in test_families():
        found = likeness(family, seen, LEAST)
        near += found[0].near
        text += row(family, found)
        print(text.splitlines()[-1], flush=True)
    text += "\n## The held-out list of the first edition\n\n" + COLUMNS
    for family in families.held_out:
        text += row(family, likeness(family, seen))
        print(text.splitlines()[-1], flush=True)
    with whole(HERE / "neighbours.md") as part:
        part.write_text(text)
    return int(near > 0)


if __name__ == "__main__":
    sys.exit(main())
