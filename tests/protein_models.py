"""Small protein files for tests, made from a sequence: peptides, a zinc site, spoiled copies."""

from pathlib import Path

import numpy as np

DATA = Path(__import__("pdbfixer").__file__).parent / "tests" / "data"
VILLIN, INTEGRASE = DATA / "test.pdb", DATA / "1BHL.pdb"  # PDB 1VII, NMR; PDB 1BHL, X-ray


def line(serial, name, residue, chain, number, position, element, record="ATOM", **columns):
    """One record of the PDB format."""
    x, y, z = position
    alternate, insertion = columns.get("alternate", " "), columns.get("insertion", " ")
    name = name if len(element) == 2 else f" {name}"
    return (
        f"{record:<6}{serial:5d} {name:<4}{alternate}{residue:>3} {chain}{number:4d}{insertion}   "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{columns.get('occupancy', 1.0):6.2f}  0.00          {element:>2}"
    )


def peptide(helm, seed=7):
    """A peptide without hydrogens, folded by RDKit: the lines of a PDB file.

    `helm` is a sequence, or HELM notation, which can say disulfides.
    """
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.MolFromHELM(helm) if "$" in helm else Chem.MolFromSequence(helm)
    full = Chem.AddHs(mol)
    assert AllChem.EmbedMolecule(full, randomSeed=seed) == 0
    AllChem.MMFFOptimizeMolecule(full, maxIters=500)
    points = full.GetConformer().GetPositions()
    rows = []
    for atom in full.GetAtoms():
        info = atom.GetPDBResidueInfo()
        if atom.GetAtomicNum() > 1:
            rows.append((info.GetResidueNumber(), info, points[atom.GetIdx()], atom.GetSymbol()))
    rows.sort(key=lambda row: row[0])
    return [
        line(k + 1, i.GetName().strip(), i.GetResidueName(), "A", number, point, element)
        for k, (number, i, point, element) in enumerate(rows)
    ]


def write(path, lines):
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def zinc_site():
    """Zn(Cys)2(His)2 with capped residues, tetrahedral, put together from geometry alone."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    lines = [line(1, "ZN", "ZN", "A", 900, (0, 0, 0), "ZN", "HETATM")]
    points = np.zeros((1, 3))
    for k, (corner, kind) in enumerate(zip(corners, "CCHH", strict=True)):
        residues, names, numbers, x = arm(kind, corner, 10 * k + 10, points)
        points = np.concatenate([points, x])
        lines += [
            line(len(lines) + 1 + i, names[i], residues[i], "A", numbers[i], x[i], names[i][0])
            for i in range(len(names))
        ]
    return lines


def arm(kind, direction, number, others):
    """ACE–Cys–NME or ACE–His–NME whose SG or NE2 points at the origin from `direction`."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    helm = {"C": "CC(=O)N[C@@H](CS)C(=O)NC", "H": "CC(=O)N[C@@H](Cc1c[nH]cn1)C(=O)NC"}[kind]
    names = {
        "C": "CH3 C O N CA CB SG C O N C",
        "H": "CH3 C O N CA CB CG CD2 NE2 CE1 ND1 C O N C",
    }[kind].split()
    residues = ["ACE"] * 3 + [{"C": "CYS", "H": "HIS"}[kind]] * (len(names) - 5) + ["NME"] * 2
    mol = Chem.AddHs(Chem.MolFromSmiles(helm))
    AllChem.EmbedMultipleConfs(mol, 20, randomSeed=3)
    AllChem.MMFFOptimizeMoleculeConfs(mol)
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    folds = [c.GetPositions()[heavy] for c in mol.GetConformers()]
    at = {(r, n): i for i, (r, n) in enumerate(zip(residues, names, strict=True))}
    donor = at[("CYS", "SG")] if kind == "C" else at[("HIS", "NE2")]
    length = 2.33 if kind == "C" else 2.05
    found = [placed(x, donor, at, direction, length, others) for x in folds]
    shift = {"ACE": 0, "CYS": 1, "HIS": 1, "NME": 2}
    best = max(found, key=lambda y: (room(y, others), (y @ direction).min()))
    return residues, names, [number + shift[r] for r in residues], best


def placed(x, donor, at, direction, length, others):
    """One fold of an arm, with its lone pair on the metal."""
    from scipy.spatial.transform import Rotation

    if ("CYS", "CB") in at:  # the C–S–Zn angle is 105°
        bond = x[at["CYS", "CB"]] - x[donor]
        side = np.cross(bond, x[at["CYS", "CA"]] - x[donor])
        bond, side = bond / np.linalg.norm(bond), side / np.linalg.norm(side)
        arrow = np.cos(np.radians(105)) * bond + np.sin(np.radians(105)) * side
    else:
        arrow = 2 * x[donor] - x[at["HIS", "CD2"]] - x[at["HIS", "CE1"]]
    turn, _ = Rotation.align_vectors([-direction], [arrow / np.linalg.norm(arrow)])
    return spun(turn.apply(x - x[donor]) + direction * length, direction, others)


def spun(x, direction, others):
    """Turn about the bond to the metal until the arm is far from the arms there already."""
    from scipy.spatial.transform import Rotation

    turns = [Rotation.from_rotvec(a * direction) for a in np.linspace(0, 2 * np.pi, 36)]
    return max((t.apply(x) for t in turns), key=lambda y: room(y, others))


def room(x, others):
    """Å between an arm and the others; more than 4 is as good as 4."""
    from scipy.spatial.distance import cdist

    return min(4.0, cdist(x, others[1:]).min(initial=4.0))
