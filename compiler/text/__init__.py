"""Text of every level of the compiler, in MLIR's generic form."""
