"""Floor 4: the command line, no logic."""
