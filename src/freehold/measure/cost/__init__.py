"""Floor 1: what a house costs a month, run by oneself or bought, from one model."""
