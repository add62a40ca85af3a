"""Simulators: instruction-set simulator and co-simulation."""
