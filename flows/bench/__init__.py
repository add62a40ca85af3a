"""Measurements on kernels and networks."""
