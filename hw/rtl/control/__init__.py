"""Fetch, dispatch, queues, registers and counters."""
