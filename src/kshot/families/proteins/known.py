"""Modified residues and ligands whose chemistry is known without asking anybody: SMILES at pH 7.

Amino acids are written as aldehydes, with their N-terminus free: the hydrogens that the chain
replaces are taken off when its bonds are counted.
"""

from __future__ import annotations

from typing import Final

MODIFIED: Final[dict[str, tuple[str, str]]] = {
    "SEP": ("NC(COP(=O)([O-])[O-])C=O", "phosphoserine"),
    "TPO": ("NC(C(C)OP(=O)([O-])[O-])C=O", "phosphothreonine"),
    "PTR": ("NC(Cc1ccc(OP(=O)([O-])[O-])cc1)C=O", "phosphotyrosine"),
    "MSE": ("NC(CC[Se]C)C=O", "selenomethionine"),
    "SEC": ("NC(C[SeH])C=O", "selenocysteine"),
    "CSO": ("NC(CSO)C=O", "cysteine sulfenic acid"),
    "CSD": ("NC(CS(=O)[O-])C=O", "cysteine sulfinate"),
    "OCS": ("NC(CS(=O)(=O)[O-])C=O", "cysteine sulfonate"),
    "CME": ("NC(CSSCCO)C=O", "cysteine with mercaptoethanol"),
    "CAS": ("NC(CS[As](C)C)C=O", "dimethylarsenic cysteine"),
    "SME": ("NC(CCS(C)=O)C=O", "methionine sulfoxide"),
    "MLZ": ("NC(CCCC[NH2+]C)C=O", "methyllysine"),
    "MLY": ("NC(CCCC[NH+](C)C)C=O", "dimethyllysine"),
    "M3L": ("NC(CCCC[N+](C)(C)C)C=O", "trimethyllysine"),
    "ALY": ("NC(CCCCNC(C)=O)C=O", "acetyllysine"),
    "KCX": ("NC(CCCCNC(=O)[O-])C=O", "carbamylated lysine"),
    "HYP": ("N1CC(O)CC1C=O", "hydroxyproline"),
    "PCA": ("N1C(=O)CCC1C=O", "pyroglutamate"),
    "TYS": ("NC(Cc1ccc(OS(=O)(=O)[O-])cc1)C=O", "sulfotyrosine"),
    "NLE": ("NC(CCCC)C=O", "norleucine"),
    "AIB": ("NC(C)(C)C=O", "aminoisobutyrate"),
}
"""PDB name → SMILES, what it is."""

_ADENOSINE = "C1OC(n2cnc3c(N)ncnc23)C(O)C1O"
_GUANOSINE = "C1OC(n2cnc3c(=O)[nH]c(N)nc23)C(O)C1O"
_NAD_TAIL = f"COP(=O)([O-])OP(=O)([O-])OC{_ADENOSINE.replace('1', '4')}"
_PORPHYRIN = (
    "CC1=C(CCC(=O)[O-])C2=CC3=NC(=CC4=C(C)C(C=C)=C([N-]4)C=C5C(C)=C(C=C)C(=N5)C=C1[N-]2)"
    "C(C)=C3CCC(=O)[O-]"
)
LIGANDS: Final[dict[str, tuple[str, str]]] = {
    "AMP": (f"[O-]P(=O)([O-])OC{_ADENOSINE}", "AMP"),
    "ADP": (f"[O-]P(=O)([O-])OP(=O)([O-])OC{_ADENOSINE}", "ADP"),
    "ATP": (f"[O-]P(=O)([O-])OP(=O)([O-])OP(=O)([O-])OC{_ADENOSINE}", "ATP"),
    "GDP": (f"[O-]P(=O)([O-])OP(=O)([O-])OC{_GUANOSINE}", "GDP"),
    "GTP": (f"[O-]P(=O)([O-])OP(=O)([O-])OP(=O)([O-])OC{_GUANOSINE}", "GTP"),
    "SAH": (f"[NH3+]C(CCSC{_ADENOSINE})C(=O)[O-]", "S-adenosylhomocysteine"),
    "SAM": (f"[NH3+]C(CC[S+](C)C{_ADENOSINE})C(=O)[O-]", "S-adenosylmethionine"),
    "NAD": (f"NC(=O)c1ccc[n+](c1)C1OC({_NAD_TAIL})C(O)C1O", "NAD+"),
    "FMN": (
        "Cc1cc2nc3c(=O)[nH]c(=O)nc-3n(CC(O)C(O)C(O)COP(=O)([O-])[O-])c2cc1C",
        "flavin mononucleotide, oxidised",
    ),
    "PLP": ("Cc1ncc(COP(=O)([O-])[O-])c(C=O)c1O", "pyridoxal phosphate"),
    "HEM": (_PORPHYRIN, "protoporphyrin IX of haem"),
    "NAG": ("CC(=O)NC1C(O)OC(CO)C(O)C1O", "N-acetylglucosamine"),
    "BMA": ("C1(O)C(O)OC(CO)C(O)C1O", "mannose"),
    "MAN": ("C1(O)C(O)OC(CO)C(O)C1O", "mannose"),
    "SO4": ("[O-]S(=O)(=O)[O-]", "sulfate"),
    "PO4": ("OP(=O)([O-])[O-]", "hydrogen phosphate"),
    "NO3": ("[O-][N+](=O)[O-]", "nitrate"),
    "ACT": ("CC(=O)[O-]", "acetate"),
    "FMT": ("C(=O)[O-]", "formate"),
    "CIT": ("OC(CC(=O)[O-])(CC(=O)[O-])C(=O)[O-]", "citrate"),
    "GOL": ("OCC(O)CO", "glycerol"),
    "EDO": ("OCCO", "ethylene glycol"),
    "DMS": ("CS(C)=O", "dimethyl sulfoxide"),
    "IMD": ("c1c[nH+]c[nH]1", "imidazolium"),
    "BME": ("OCCS", "mercaptoethanol"),
}
"""PDB name → SMILES, what it is."""

COFACTORS: Final = frozenset(
    {"AMP", "ADP", "ATP", "GDP", "GTP", "SAH", "SAM", "NAD", "FMN", "PLP", "HEM"}
    | {"FAD", "NAP", "NDP", "NAI", "HEC", "HEA", "COA", "ACO", "TPP", "B12", "BTN", "GSH"}
)
"""Names that get the tag ``cofactor`` as the centre of a pocket; others get ``ligand``."""


def known_smiles(name: str) -> str | None:
    """Return the SMILES at pH 7 of a residue or ligand, or None."""
    found = MODIFIED.get(name) or LIGANDS.get(name)
    return found[0] if found else None
