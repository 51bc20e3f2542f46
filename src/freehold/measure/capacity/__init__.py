"""Floor 1: load on a service, what it did to it, and how much it can bear."""
