"""Runs compiled programs; needs no compiler."""
