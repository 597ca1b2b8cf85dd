"""Clusters of sequences: the PDB's published files, and which families are in which."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from kshot.core.errors import InputError
from kshot.families.distributions.domains import Labels, bad_line, lines_of
from kshot.families.family import Family

ENTITY = re.compile(r"[A-Za-z0-9_]*[A-Za-z0-9]_\d+")
WHAT = "a PDB cluster file (one cluster a line: ENTRY_ENTITY ENTRY_ENTITY …)"

Clusters = Mapping[str, int]
"""Cluster number of each sequence, by its name; of the PDB, ``1abc_1`` in lower case."""


def read_pdb_clusters(path: str | Path) -> dict[str, int]:
    """Read ``clusters-by-entity-30.txt`` and its like: one cluster per line, the largest first.

    Computed models (``AF_AFP01670F1_1``) stand among the entries of the PDB.

    Returns:
        Line number of the cluster, from 1, by ``entry_entity`` in lower case.
    """
    found: dict[str, int] = {}
    for n, line in lines_of(path, WHAT):
        for word in line.split():
            if not ENTITY.fullmatch(word):
                raise bad_line(WHAT, path, n, line)
            if found.setdefault(word.lower(), n) != n:
                raise InputError(
                    "each sequence in one cluster",
                    f"{path}: {word} on lines {found[word.lower()]} and {n}",
                    "The file is spoiled: fetch it again.",
                )
    return found


def in_clusters(
    families: Sequence[Family],
    clusters: Clusters,
    entities: Mapping[tuple[str, str], str] | None = None,
) -> Labels:
    """Return the clusters of each family, found by its tag ``pdb``.

    A family with the tag ``entity`` is in that entity's cluster. Otherwise its chains are looked
    up in ``entities``; and where nothing tells which entity it was cut from, it counts as being in
    the clusters of all of its entry's entities, so that no split can separate it from any.

    Args:
        families: any.
        clusters: as read from a file.
        entities: entity number of (entry, chain), in lower case and as it is.
    """
    by_entry: dict[str, set[int]] = defaultdict(set)
    for name, cluster in clusters.items():
        by_entry[name.rpartition("_")[0]].add(cluster)
    found = {}
    for family in families:
        entry = family.tags.get("pdb", "").lower()
        chains = (family.tags.get("chains") or family.tags.get("chain") or "").split()
        known = (
            [family.tags["entity"]]
            if "entity" in family.tags
            else [(entities or {}).get((entry, chain), "") for chain in chains]
        )
        if known and all(known):
            numbers = {clusters[f"{entry}_{k}"] for k in known if f"{entry}_{k}" in clusters}
        else:
            numbers = by_entry.get(entry, set())
        found[family.name] = frozenset(str(number) for number in numbers)
    return found
