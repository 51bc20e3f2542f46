"""A house that forgets: requests carried out over all that it holds, and verified; what it tells of people."""
