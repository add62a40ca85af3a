"""Tilewright: a hardware/software co-design framework for tensor accelerators."""
