"""The commands of :mod:`fixlip_helpers.cli`, which holds the short ones."""
