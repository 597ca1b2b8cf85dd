"""PDB and mmCIF files into a `Protein`; what is odd in them is noted, what is broken is refused."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kshot.core.errors import InputError
from kshot.core.limits import TooLargeError, allowed_bytes, read_at_most
from kshot.families.proteins import space
from kshot.families.proteins.model import WATERS, Protein, Residue

ENDINGS = (".pdb", ".ent", ".cif", ".mmcif", ".pdb.gz", ".ent.gz", ".cif.gz")
LEAST, MOST = -999.0, 9999.0  # Å: eight columns with three digits behind the point
COORDINATES_END = 54  # columns of a PDB line up to z


def read_protein(path: str | Path) -> Protein:
    """Read the first model of a PDB or mmCIF file; one position per atom.

    Of alternate locations and of alternative residues the one with the highest occupancy is taken;
    insertion codes are kept; missing stretches of the sequence are noted.

    Args:
        path: a file ending in ``.pdb``, ``.ent``, ``.cif`` or ``.mmcif``, possibly with ``.gz``.

    Raises:
        InputError: the file is missing, of another kind, truncated, or without atoms.
    """
    path = Path(path)
    _refuse_broken(path)
    import gemmi

    try:
        structure = gemmi.read_structure(str(path))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            "a PDB or mmCIF file", f"{path}: {error}", "Check the file; fetch it again."
        ) from error
    structure.setup_entities()
    structure.assign_label_seq_id()
    if not len(structure) or not any(len(chain) for chain in structure[0]):
        raise InputError("a file with atoms", f"{path}: none", "Is it a structure file?")
    notes = []
    if len(structure) > 1:
        notes.append(f"{len(structure)} models: the first is used")
    entry = dict(structure.info.items()).get("_entry.id") or path.stem
    return _protein(structure, path, entry.split(".")[0].lower(), notes)


def _refuse_broken(path: Path) -> None:
    """Raise if the file is missing, of another kind, or ends before its end."""
    if not path.is_file():
        raise InputError("a structure file", f"{path}, which does not exist", "Check the path.")
    if not path.name.lower().endswith(ENDINGS):
        known = " ".join(ENDINGS)
        raise InputError(f"a file ending in one of {known}", str(path), "Rename or convert it.")
    raw = path.read_bytes()
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                raw = read_at_most(stream, allowed_bytes(len(raw)))
        text = raw.decode(errors="replace")
    except (OSError, EOFError, TooLargeError) as error:
        raise _truncated(path, str(error)) from error
    pdb = any(part in {".pdb", ".ent"} for part in path.suffixes)
    why = _pdb_cut(text) if pdb else _cif_cut(text)
    if why:
        raise _truncated(path, why)


def _truncated(path: Path, why: str) -> InputError:
    return InputError("a whole file", f"{path}: {why}", "It looks truncated: fetch it again.")


def _pdb_cut(text: str) -> str:
    lines = text.splitlines()
    atoms = [n for n, line in enumerate(lines) if line.startswith(("ATOM  ", "HETATM"))]
    for n in atoms:
        if len(lines[n]) < COORDINATES_END:
            return f"line {n + 1} ends before its coordinates do"
    deposited = any(line.startswith("HEADER") for line in lines[:5]) and "CRYST1" in text
    if deposited and not any(line.startswith("END") for line in lines):
        return "it has a HEADER but no END record"
    master = next((line for line in lines if line.startswith("MASTER")), "")
    counted = master[50:55].strip()  # of atoms, in all models
    if counted.isdigit() and int(counted) != len(atoms):
        return f"its MASTER record counts {counted} atoms, the file has {len(atoms)}"
    return ""


def _cif_cut(text: str) -> str:
    separated = text.count("\n#") > 2  # as the PDB writes it: a # after every category
    if separated and not text.rstrip().endswith("#"):
        return "the mmCIF file has no # after its last category"
    return ""


def _protein(structure: Any, path: Path, entry: str, notes: list[str]) -> Protein:  # noqa: ANN401
    """Walk gemmi's hierarchy and choose one position per atom."""
    residues: list[Residue] = []
    names: list[str] = []
    numbers: list[int] = []
    positions: list[list[float]] = []
    owners: list[int] = []
    ends, gaps = _ends(structure)
    notes += gaps
    numbered = "cif" in structure.input_format.name.lower()
    for chain in structure[0]:
        entity = structure.get_entity_of(chain.get_polymer()) if numbered else None
        for found in _chosen_residues(chain, notes):
            key = (chain.name, str(found.seqid))
            if found.seqid.num is None:
                raise InputError(
                    "numbered residues",
                    f"{path}: a {found.name} of chain {chain.name} without a number",
                    "Number it (columns 23-26 of a PDB file).",
                )
            first, last = ends.get(key, (False, False))
            label = Residue(
                chain.name,
                found.name,
                found.seqid.num,
                found.seqid.icode.strip(),
                first,
                last,
                entity.name if entity is not None and entity.name.isdigit() else "",
            )
            atoms = _chosen_atoms(found, label, path, notes)
            for atom in atoms:
                names.append(atom.name)
                numbers.append(1 if atom.element.name == "D" else atom.element.atomic_number)
                positions.append(atom.pos.tolist())
                owners.append(len(residues))
            residues.append(label)
    _note_insertions(residues, notes)
    protein = Protein(
        str(path),
        entry,
        tuple(names),
        np.array(numbers, np.int64),
        np.array(positions, np.float64).reshape(-1, 3),
        np.array(owners, np.int64),
        tuple(residues),
        tuple(notes),
    )
    _check_atoms(protein)
    return protein


def _chosen_residues(chain: Any, notes: list[str]) -> Iterator[Any]:  # noqa: ANN401
    """Yield one residue per position: of alternatives, the one most occupied."""
    groups: dict[tuple[str, bool], list[Any]] = defaultdict(list)
    for residue in chain:
        groups[str(residue.seqid), residue.name in WATERS].append(residue)
    for (place, _), found in groups.items():
        best = max(found, key=lambda residue: max(atom.occ for atom in residue))
        if len(found) > 1:
            others = ", ".join(r.name for r in found if r is not best)
            notes.append(f"{best.name} {chain.name} {place}: taken instead of {others} (occupancy)")
        yield best


def _chosen_atoms(residue: Any, label: Residue, path: Path, notes: list[str]) -> list[Any]:  # noqa: ANN401
    """Return one atom per name: one alternate location for the whole residue where it can be."""
    occupancy: dict[str, float] = defaultdict(float)
    for atom in residue:
        if atom.has_altloc():
            occupancy[atom.altloc] += atom.occ
    best = max(sorted(occupancy), key=occupancy.__getitem__, default="")
    chosen: dict[str, Any] = {}
    for atom in residue:
        rank = (not atom.has_altloc() or atom.altloc == best, atom.occ)
        other = chosen.get(atom.name)
        if other is not None and not atom.has_altloc() and not other.has_altloc():
            raise InputError(
                "atoms with different names in a residue",
                f"{path}: two atoms {atom.name} in {label.label}",
                "Give them different names, or mark alternate locations in column 17.",
            )
        if other is None or rank > (other.altloc in {"\0", best}, other.occ):
            chosen[atom.name] = atom
    others = ", ".join(sorted(set(occupancy) - {best}))
    if others:
        notes.append(f"{label.label}: alternate location {best} taken, not {others} (occupancy)")
    return list(chosen.values())


def _ends(structure: Any) -> tuple[dict[tuple[str, str], tuple[bool, bool]], list[str]]:  # noqa: ANN401
    """Which residues are true chain ends, and what of the sequence has no coordinates."""
    ends: dict[tuple[str, str], tuple[bool, bool]] = {}
    notes: list[str] = []
    for chain in structure[0]:
        polymer = list(chain.get_polymer().first_conformer())
        if not polymer:
            continue
        entity = structure.get_entity_of(chain.get_polymer())
        whole = list(entity.full_sequence) if entity is not None else []
        at = [residue.label_seq for residue in polymer]
        known = bool(whole) and all(n is not None for n in at)
        # Without the sequence, only a second carboxylate oxygen tells that a chain truly ends.
        closed = any(atom.name == "OXT" for atom in polymer[-1])
        for residue in (polymer[0], polymer[-1]):
            ends[chain.name, str(residue.seqid)] = (
                residue is polymer[0] and (not known or at[0] == 1),
                residue is polymer[-1] and (at[-1] == len(whole) if known else closed),
            )
        if not known:
            notes.append(
                f"chain {chain.name}: the file has no sequence; {polymer[0].name} "
                f"{polymer[0].seqid} is taken as its N-terminus"
            )
        if known:
            absent = [n for n in range(1, len(whole) + 1) if n not in set(at)]
            notes += _stretches(chain.name, absent, whole)
    return ends, notes


def _stretches(chain: str, absent: list[int], whole: list[str]) -> list[str]:
    """One note per run of residues without coordinates."""
    runs: list[list[int]] = []
    for n in absent:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return [
        f"chain {chain}: {len(run)} residue{'s' if len(run) > 1 else ''} of the sequence missing "
        f"({whole[run[0] - 1]} to {whole[run[-1] - 1]}, positions {run[0]} to {run[-1]}); "
        "nothing is built there"
        for run in runs
    ]


def _note_insertions(residues: list[Residue], notes: list[str]) -> None:
    inserted = [residue.label for residue in residues if residue.insertion]
    if inserted:
        notes.append(f"insertion codes kept: {', '.join(inserted[:8])}")


def _check_atoms(protein: Protein) -> None:
    """Refuse unknown elements, positions that are no numbers, and atoms on top of each other."""
    bad = np.flatnonzero(~np.isfinite(protein.positions).all(1) | (protein.numbers < 1))
    if len(bad):
        raise InputError(
            "elements and finite coordinates",
            f"{protein.source}: {protein.label(int(bad[0]))} has none",
            "Correct this atom, or give its element in columns 77-78.",
        )
    out = (protein.positions <= LEAST) | (protein.positions >= MOST)
    if len(far := np.flatnonzero(out.any(1))):
        where = ", ".join(f"{x:g}" for x in protein.positions[far[0]])
        raise InputError(
            f"coordinates that PDB's columns hold, {LEAST:g} to {MOST:g} Å",
            f"{protein.source}: {protein.label(int(far[0]))} at {where}",
            "Correct this atom, or move all of them.",
        )
    for i, j in space.tree(protein.positions).query_pairs(0.5):
        raise InputError(
            "atoms apart from each other",
            f"{protein.source}: {protein.label(i)} and {protein.label(j)} "
            f"{np.linalg.norm(protein.positions[i] - protein.positions[j]):.2f} Å apart",
            "Remove one of them, or mark alternate locations.",
        )
