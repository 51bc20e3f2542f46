"""What somebody else can check: trees of hashes, and later signatures and certificates. Standard library only."""
