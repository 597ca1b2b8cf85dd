"""Allegro in three sizes, to start from."""

from kshot.potentials.allegro.config import AllegroConfig

SIZES: dict[str, AllegroConfig] = {
    "tiny": AllegroConfig(
        num_scalar_features=16,
        num_tensor_features=8,
        embed_mlp_hidden=(16,),
        latent_mlp_hidden=(16,),
        readout_mlp_hidden=(16,),
    ),
    "small": AllegroConfig(
        num_scalar_features=32,
        num_tensor_features=16,
        embed_mlp_hidden=(32,),
        latent_mlp_hidden=(64,),
        readout_mlp_hidden=(32,),
    ),
    "medium": AllegroConfig(
        num_scalar_features=64,
        num_tensor_features=32,
        embed_mlp_hidden=(64, 64),
        latent_mlp_hidden=(128, 128),
        readout_mlp_hidden=(64,),
    ),
}
