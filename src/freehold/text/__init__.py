"""Floor 1: bytes to clean text with offsets and pages, and text to chunks and terms."""
