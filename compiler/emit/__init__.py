"""Layers become tasks: instructions in the order of their meaning."""
