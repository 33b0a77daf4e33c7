"""Data sets, and methods measured on many of their pairs: ``fixlip evaluate`` and ``fixlip reproduce``."""
