"""The contract: config, instruction set, numerics, program format and cycle formulas."""
