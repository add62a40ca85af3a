"""The vector unit: arithmetic lanes, address generators and the engine that runs VECTOR."""
