"""Models of mace-torch, turned into models of kshot; see `kshot.potentials.mace_torch.convert`.

`export` runs where PyTorch is and writes numbers; `convert` reads them and needs no PyTorch.
"""

from kshot.potentials.mace_torch.convert import Converted, convert
from kshot.potentials.mace_torch.exported import Exported, from_arrays, read_export

__all__ = ["Converted", "Exported", "convert", "from_arrays", "read_export"]
