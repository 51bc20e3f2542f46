"""Records for the officer: what a house knows of itself, put down for those who must account for it."""
