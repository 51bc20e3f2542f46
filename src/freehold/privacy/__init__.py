"""Floor 1: finding people and identifiers in texts, and putting surrogates in their place."""
