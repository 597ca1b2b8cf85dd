"""Interatomic potentials: energies of a padded graph, ready for third derivatives."""
