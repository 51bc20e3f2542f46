"""Floor 1: embedders, rerankers, generators and the pinned blobs they are made of."""
