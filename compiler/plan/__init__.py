"""Chains of layers, placement and tilings."""
