"""What a selection of families covers: elements, charges, strata, sizes, spread of energies."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kshot.atoms import Labelled, Structure
from kshot.atoms.elements import symbol
from kshot.families.family import Family, Member


@dataclass(frozen=True)
class Row:
    """One stratum, or all of them.

    Args:
        stratum: its name; ``"all"`` for the whole selection.
        families: how many.
        members: how many.
        marked: how many members the engine does not do, as measured.
        frames: how many labelled configurations.
        elements: symbols, by atomic number.
        charges: of members, in elementary charges.
        multiplicities: of members, 2S + 1.
        atoms: of the smallest, the median and the largest member.
        spread: median over scaffolds of the standard deviation of the energy of their
            configurations, in eV; None without labels.
        widest: the largest such deviation, in eV.
    """

    stratum: str
    families: int
    members: int
    marked: int
    frames: int
    elements: tuple[str, ...]
    charges: tuple[int, ...]
    multiplicities: tuple[int, ...]
    atoms: tuple[int, int, int]
    spread: float | None
    widest: float | None


@dataclass(frozen=True)
class Coverage:
    """What a selection covers.

    Args:
        rows: one per stratum, in the order met.
        whole: the same, of everything.
        by_element: how many members hold an element.
        by_charge: how many members have a charge.
    """

    rows: tuple[Row, ...]
    whole: Row
    by_element: Mapping[str, int]
    by_charge: Mapping[int, int]


def coverage(
    selection: Iterable[Family], labelled: Iterable[Labelled] = (), *, engine: str = "gfn2"
) -> Coverage:
    """Count what a selection covers.

    Args:
        selection: families.
        labelled: configurations with labels, if there are any; each belongs to the family that its
            structure names. Those of families not selected are left out.
        engine: whose status counts as marked.
    """
    families = tuple(selection)
    energies = _energies(labelled)
    strata = dict.fromkeys(family.stratum for family in families)
    rows = tuple(
        _row(name, [family for family in families if family.stratum == name], energies, engine)
        for name in strata
    )
    members = [member.structure for family in families for member in family.members]
    numbers = Counter(int(n) for structure in members for n in set(structure.numbers.tolist()))
    charges = Counter(structure.charge for structure in members)
    return Coverage(
        rows,
        _row("all", families, energies, engine),
        {symbol(number): numbers[number] for number in sorted(numbers)},
        dict(sorted(charges.items())),
    )


def coverage_table(found: Coverage) -> Any:  # noqa: ANN401 - rich is imported late
    """Return the coverage as a table of rich, for a terminal."""
    from rich.table import Table

    table = Table(*HEADINGS, show_footer=True)
    for cells in cells_of(found)[:-1]:
        table.add_row(*cells)
    for column, cell in zip(table.columns, cells_of(found)[-1], strict=True):
        column.footer = cell
        column.justify = "left" if column.header in {"stratum", "elements"} else "right"
    return table


HEADINGS = (
    "stratum",
    "families",
    "members",
    "marked",
    "frames",
    "atoms",
    "charges",
    "2S+1",
    "spread meV",
    "elements",
)


def cells_of(found: Coverage) -> list[tuple[str, ...]]:
    """Return the table as text under `HEADINGS`; the last row is the whole selection."""
    return [_cells(row) for row in (*found.rows, found.whole)]


def _cells(row: Row) -> tuple[str, ...]:
    spread = "" if row.spread is None else f"{1000 * row.spread:.0f}"
    low, middle, high = row.atoms
    return (
        row.stratum,
        str(row.families),
        str(row.members),
        str(row.marked),
        str(row.frames),
        f"{low}…{middle}…{high}",
        _range(row.charges, "+d"),
        _range(row.multiplicities, "d"),
        spread,
        " ".join(row.elements),
    )


def _range(values: tuple[int, ...], form: str) -> str:
    if not values:
        return ""
    low, high = format(values[0], form), format(values[-1], form)
    return low if low == high else f"{low}…{high}"


Scaffold = tuple[str, tuple[int, ...], int, int]  # family, atomic numbers, charge, multiplicity


def _scaffold(structure: Structure) -> Scaffold:
    numbers = tuple(sorted(structure.numbers.tolist()))
    return structure.family, numbers, structure.charge, structure.multiplicity


def _energies(labelled: Iterable[Labelled]) -> dict[Scaffold, list[tuple[str, float]]]:
    """Return member's name (empty if frames do not say) and energy in eV by scaffold."""
    found: dict[Scaffold, list[tuple[str, float]]] = defaultdict(list)
    for structure, labels in labelled:
        name = str(structure.info.get("member", ""))
        found[_scaffold(structure)].append((name, labels.energy))
    return found


def _row(
    name: str,
    families: Iterable[Family],
    energies: Mapping[Scaffold, list[tuple[str, float]]],
    engine: str,
) -> Row:
    families = list(families)
    members = [member for family in families for member in family.members]
    structures = [member.structure for member in members]
    frames, spreads = _spreads(members, energies)
    sizes = sorted(map(len, structures)) or [0]
    numbers = {int(number) for structure in structures for number in structure.numbers}
    return Row(
        name,
        len(families),
        len(members),
        sum(not member.usable(engine) for member in members),
        frames,
        tuple(symbol(number) for number in sorted(numbers)),
        tuple(sorted({structure.charge for structure in structures})),
        tuple(sorted({structure.multiplicity for structure in structures})),
        (sizes[0], int(statistics.median(sizes)), sizes[-1]),
        statistics.median(spreads) if spreads else None,
        max(spreads) if spreads else None,
    )


def _spreads(
    members: Iterable[Member], energies: Mapping[Scaffold, list[tuple[str, float]]]
) -> tuple[int, list[float]]:
    """Count the frames of the members, and return the standard deviations of their energies.

    Isomers are kept apart by the member's name, where frames say it.
    """
    frames, spreads = 0, []
    for scaffold in {_scaffold(member.structure) for member in members}:
        by_name: dict[str, list[float]] = defaultdict(list)
        for name, energy in energies.get(scaffold, ()):
            by_name[name].append(energy)
        for values in by_name.values():
            frames += len(values)
            if len(values) > 1:
                spreads.append(statistics.stdev(values))
    return frames, spreads
