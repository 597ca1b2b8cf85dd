"""mace-torch fine-tuned from the start that kshot adapts: the same function, the same shots."""
