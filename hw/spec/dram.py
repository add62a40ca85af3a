"""The DRAM behind the accelerator, where a caller does not say."""

MEMORY_LATENCY = 64
"""Cycles from the handshake of a read's address to its first beat, and from the last beat of a
write to its response."""
