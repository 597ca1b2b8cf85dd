"""The networks kshot offers, and what tiny, small and medium mean for each."""

from __future__ import annotations

from typing import Any

from kshot.potentials.networks import Architecture, Network, network

MACE = Architecture(
    "mlip.models.mace.network:Mace",
    {
        "tiny": {
            "num_channels": 8,
            "l_max": 2,
            "node_symmetry": 1,
            "correlation": 2,
            "radial_mlp_hidden": [16, 16],
        },
        "small": {
            "num_channels": 32,
            "l_max": 2,
            "node_symmetry": 1,
            "correlation": 2,
            "radial_mlp_hidden": [32, 32],
        },
        "medium": {
            "num_channels": 64,
            "l_max": 3,
            "node_symmetry": 1,
            "correlation": 3,
            "radial_mlp_hidden": [64, 64, 64],
        },
    },
)
NEQUIP = Architecture(
    "mlip.models.nequip.network:Nequip",
    {
        "tiny": {"target_irreps": "8x0e + 8x1o", "l_max": 1, "radial_mlp_hidden": [16]},
        "small": {"target_irreps": "32x0e + 16x1o + 8x2e", "l_max": 2, "radial_mlp_hidden": [32]},
        "medium": {
            "num_layers": 3,
            "target_irreps": "64x0e + 32x1o + 16x2e",
            "l_max": 2,
            "radial_mlp_hidden": [64, 64],
        },
    },
)
VISNET = Architecture(
    "mlip.models.visnet.network:Visnet",
    {
        "tiny": {"num_layers": 2, "num_channels": 16, "l_max": 1, "num_heads": 2, "num_rbf": 8},
        "small": {"num_layers": 3, "num_channels": 32, "l_max": 2, "num_heads": 4, "num_rbf": 16},
        "medium": {"num_layers": 4, "num_channels": 96, "l_max": 2, "num_heads": 8, "num_rbf": 32},
    },
)
ESEN = Architecture(
    "mlip.models.esen.network:Esen",
    {
        "tiny": {
            "sphere_channels": 8,
            "hidden_channels": 8,
            "edge_channels": 8,
            "l_max": 1,
            "m_max": 1,
        },
        "small": {},
        "medium": {
            "num_layers": 3,
            "sphere_channels": 48,
            "hidden_channels": 48,
            "edge_channels": 48,
        },
    },
)
ALLEGRO = Architecture(
    "kshot.potentials.allegro.network:Allegro",
    {
        "tiny": {
            "num_scalar_features": 16,
            "num_tensor_features": 8,
            "embed_mlp_hidden": (16,),
            "latent_mlp_hidden": (16,),
            "readout_mlp_hidden": (16,),
        },
        "small": {
            "num_scalar_features": 32,
            "num_tensor_features": 16,
            "embed_mlp_hidden": (32,),
            "latent_mlp_hidden": (64,),
            "readout_mlp_hidden": (32,),
        },
        "medium": {
            "num_scalar_features": 64,
            "num_tensor_features": 32,
            "embed_mlp_hidden": (64, 64),
            "latent_mlp_hidden": (128, 128),
            "readout_mlp_hidden": (64,),
        },
    },
)
ELEMENTS = (1, 6, 7, 8)


def mace(elements: tuple[int, ...], **options: Any) -> Network:  # noqa: ANN401
    """Return MACE (Batatia et al. 2022, arXiv 2206.07697); options as of `networks.network`."""
    return network(MACE, elements, **options)


def nequip(elements: tuple[int, ...], **options: Any) -> Network:  # noqa: ANN401
    """Return NequIP (Batzner et al. 2022, arXiv 2101.03164); options as of `networks.network`."""
    return network(NEQUIP, elements, **options)


def visnet(elements: tuple[int, ...], **options: Any) -> Network:  # noqa: ANN401
    """Return ViSNet (Wang et al. 2024, arXiv 2210.16518); options as of `networks.network`."""
    return network(VISNET, elements, **options)


def esen(elements: tuple[int, ...], **options: Any) -> Network:  # noqa: ANN401
    """Return eSEN (Fu et al. 2025, arXiv 2502.12147); options as of `networks.network`.

    In mlip's form it is invariant under rotations but not under reflections: the two mirror images
    of one molecule get energies that differ.
    """
    return network(ESEN, elements, **options)


def allegro(elements: tuple[int, ...], **options: Any) -> Network:  # noqa: ANN401
    """Return Allegro (Musaelian et al. 2023, arXiv 2204.05249); options as `networks.network`."""
    return network(ALLEGRO, elements, **options)


def example_mace() -> Network:
    """Return the instance the contract tests run."""
    return mace(ELEMENTS, size="tiny")


def example_nequip() -> Network:
    """Return the instance the contract tests run."""
    return nequip(ELEMENTS, size="tiny")


def example_visnet() -> Network:
    """Return the instance the contract tests run."""
    return visnet(ELEMENTS, size="tiny")


def example_esen() -> Network:
    """Return the instance the contract tests run."""
    return esen(ELEMENTS, size="tiny")


def example_allegro() -> Network:
    """Return the instance the contract tests run."""
    return allegro(ELEMENTS, size="tiny")
