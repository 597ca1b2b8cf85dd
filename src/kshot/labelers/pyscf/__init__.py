"""Density functionals and wave functions through PySCF (extra ``kshot[dft]``).

`level` reads names such as ``wb97x-d3bj/def2-svp``, `engine` is the labeler, `correlated` does MP2,
CCSD and CCSD(T).
"""

from kshot.labelers.pyscf.engine import PySCF, pyscf
from kshot.labelers.pyscf.level import Level

__all__ = ["Level", "PySCF", "pyscf"]
