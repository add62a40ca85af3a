"""What a user reads about a run."""
