"""Hardware: the specification and the RTL that implements it."""
