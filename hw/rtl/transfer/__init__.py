"""LOAD, STORE and their way to the bus."""
