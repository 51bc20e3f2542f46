"""Floor 2: the walks through the house as plain functions over ports."""
