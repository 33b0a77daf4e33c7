"""Figures, views that need no kernel, and what a notebook shows of an explanation."""
