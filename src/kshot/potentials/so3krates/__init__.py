"""SO3krates with physics, the architecture of SO3LR; see `kshot.potentials.so3krates.network`."""

from kshot.potentials.so3krates.network import AtomicProperties, So3krates, so3krates
from kshot.potentials.so3krates.sizes import Sizes

__all__ = ["AtomicProperties", "Sizes", "So3krates", "so3krates"]
