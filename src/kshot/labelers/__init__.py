"""Labels from quantum mechanics: engines, the ledger that keeps what was paid for, where it runs.

One string names an engine: ``labeler("gfn2")``, ``labeler("pyscf:wb97x-d3bj/def2-svp")``,
``labeler("ase:ase.calculators.emt:EMT")``, ``labeler("replay:labels.extxyz")``. What a label costs
is paid once: `label_all` keeps everything in a `Ledger`.
"""

from kshot.labelers.isolate import Isolated
from kshot.labelers.ledger import Ledger
from kshot.labelers.names import labeler, labelers
from kshot.labelers.run import label_all
from kshot.labelers.spot_check import SpotChecked

__all__ = ["Isolated", "Ledger", "SpotChecked", "label_all", "labeler", "labelers"]
