"""The flows a user runs, and the command line."""
