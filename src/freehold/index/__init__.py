"""Floor 1: vector engines behind the VectorIndex port."""
