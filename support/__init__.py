"""Files, digests, caches and sessions: knows nothing of accelerators."""
