"""Hyper-parameters of Allegro."""

from typing import Literal

from mlip.models.config import MLIPNetworkConfig
from mlip.typing import NonNegativeInt, PositiveFloat, PositiveInt
from pydantic import ConfigDict, Field, model_validator

# Each maps zero to zero: that alone makes an edge at the cutoff contribute exactly nothing.
Nonlinearity = Literal["silu", "gelu", "mish", "tanh", "none"]
RadialBasis = Literal["bessel", "spline"]


class AllegroConfig(MLIPNetworkConfig):
    """Hyper-parameters of `Allegro`; cutoff, elements and E0s come from mlip's dataset info.

    Attributes:
        num_layers: Products of an edge with its environment; n of them see n + 2 atoms at once.
        l_max: Highest degree of the spherical harmonics, and of every tensor feature.
        include_pseudotensors: Whether features of the other parity (1e, 2o, …) are kept as well.
            They arise from three layers on.
        num_scalar_features: Width of the scalar track of an edge.
        num_tensor_features: Channels of the tensor track of an edge.
        radial_basis: `bessel` times the polynomial envelope, multiplied by learned embeddings of
            the two elements; or `spline`, a learned curve per pair of elements and feature.
        num_rbf: Radial functions: Bessel functions, or spline bumps.
        spline_span: Spacings over which a spline bump reaches, less one; at most `num_rbf`.
        envelope_power: p of the polynomial envelope of `bessel`; a smaller p decays sooner.
        embed_mlp_hidden: Hidden widths of the two-body network.
        latent_mlp_hidden: Hidden widths of each layer's network.
        readout_mlp_hidden: Hidden widths of the network that reads an edge's energy.
        activation: Between the linear layers of all three networks.
        avg_num_neighbors: Neighbours of an average atom; sums are divided by its square root.
            `None` takes the value of the dataset info.
        deterministic_scatter_ops: Whether sums over neighbours keep a fixed order, at a cost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_layers: PositiveInt = 2
    l_max: NonNegativeInt = 2
    include_pseudotensors: bool = True
    num_scalar_features: PositiveInt = 64
    num_tensor_features: PositiveInt = 32
    radial_basis: RadialBasis = "bessel"
    num_rbf: PositiveInt = 8
    spline_span: PositiveInt = 6
    envelope_power: int = Field(default=6, ge=2)
    embed_mlp_hidden: tuple[PositiveInt, ...] = (64,)
    latent_mlp_hidden: tuple[PositiveInt, ...] = (64,)
    readout_mlp_hidden: tuple[PositiveInt, ...] = (32,)
    activation: Nonlinearity = "silu"
    avg_num_neighbors: PositiveFloat | None = None
    deterministic_scatter_ops: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "AllegroConfig":
        """Refuse widths that no network can have."""
        if self.radial_basis == "bessel" and self.num_scalar_features % 2:
            raise ValueError("num_scalar_features must be even: half of them embed each element")
        if self.radial_basis == "spline" and self.spline_span > self.num_rbf:
            raise ValueError("spline_span must not exceed num_rbf")
        return self
