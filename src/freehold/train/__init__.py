"""Learning from labelled examples: adapters, fusion weights, embedders and rerankers. Knows nothing of a house."""
