"""Where data goes: what may leave a house, to whom, and what did not."""
