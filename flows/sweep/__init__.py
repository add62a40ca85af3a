"""Many configs."""
