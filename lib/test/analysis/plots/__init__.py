"""Figures of the paper: data in, matplotlib Figure out; one a file."""
