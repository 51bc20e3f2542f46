"""Floor 2: what keeps state: catalog, vault, blobs."""
