"""What both sides must agree on; NumPy and standard library only."""

RATE = 1e-3
ENERGY_WEIGHT, FORCES_WEIGHT = 1.0, 10.0
NEIGHBOURS = 10.0
CUTOFF = 5.0  # Å
ELEMENTS = (1, 6, 7, 8)

# over kshot's small MACE: two layers, l_max 2, scalars and vectors, correlation 2
MACE = {
    "mace-20k": {"num_channels": 20, "radial_mlp_hidden": [32, 32]},
    "mace-small": {"num_channels": 32, "radial_mlp_hidden": [32, 32]},
}
# group → potential, molecule, inner steps, contestants
GROUPS = {
    "mace-20k": ("mace-20k", "glycol"),
    "mace-small": ("mace-small", "glycol"),
    "mace-20k, 22 atoms": ("mace-20k", "alanine_dipeptide"),
    "nequip-small": ("nequip-small", "glycol"),
    "nequip-small, 22 atoms": ("nequip-small", "alanine_dipeptide"),
}
KSHOT = {
    "first order": "kshot: first order",
    "unrolled": "kshot: exact, unrolled",
    "mixed mode": "kshot: exact, mixed mode",
    "auto": "kshot: exact, as kshot chooses",
    "training": "kshot: one energy-force gradient, ten structures",
}
TORCH = {
    "first order": "mace-torch: first order",
    "exact": "mace-torch: exact",
    "training": "mace-torch: one energy-force gradient, ten structures",
}
