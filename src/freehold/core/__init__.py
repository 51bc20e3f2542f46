"""Floor 0: the nouns, the ports, the errors. Standard library only, no input or output."""
