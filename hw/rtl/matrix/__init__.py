"""The array and its engine."""
