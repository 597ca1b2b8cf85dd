"""Models of mace-torch, turned into models of kshot; see `kshot.potentials.mace_torch.convert`.

`saved` reads a model file without PyTorch; `export` makes the same of a model in memory.
"""

from kshot.potentials.mace_torch.convert import Converted, convert
from kshot.potentials.mace_torch.exported import Exported, from_arrays, read_export
from kshot.potentials.mace_torch.saved import read_saved

__all__ = ["Converted", "Exported", "convert", "from_arrays", "read_export", "read_saved"]
