"""What both sides must agree on; standard library only."""

ENERGY_WEIGHT, FORCES_WEIGHT = 3.0, 1.0  # those that trained bio-small
RATE = 1e-3  # of Adam
ROUNDS = 5  # of one measurement
MD_STEPS = 200  # of one call to the device; each call begins anew
TIMESTEP = 0.01  # fs: the networks are untrained, so a molecule must not go far
ACCELERATION = 9.648533212331e-3  # Å/fs² of 1 eV/Å on 1 u
EVERYONE = 100.0  # Å: a cutoff of the graph within which all pairs of a molecule are
REPLICAS = 8

COMMON = {"num_layers": 2, "num_rbf": 8, "readout_irreps": ["16x0e", "0e"], "node_symmetry": 1}
SIZES = {
    # the shipped bio-small
    "16 channels": {
        "num_channels": 16, "l_max": 2, "correlation": 2, "radial_mlp_hidden": [32, 32],
    },
    "64 channels": {
        "num_channels": 64, "l_max": 2, "correlation": 2, "radial_mlp_hidden": [64, 64],
    },
    # as large as MACE-OFF23 (medium)
    "128 channels": {
        "num_channels": 128, "l_max": 3, "correlation": 3, "radial_mlp_hidden": [64, 64, 64],
    },
}  # fmt: skip
BATCHES = (8, 32, 128, 512)
MOLECULES = ("uracil", "dipeptide-ser")  # of 12 and of 23 atoms


def fields(size: str) -> dict:
    """Return all fields of a size, in the words of kshot's (mlip's) configuration."""
    return COMMON | SIZES[size]


def packs(batch: int) -> int:
    """Return how many different batches are cycled through."""
    return 8 if batch <= 32 else 4
