"""Floor 1: measures of rankings and answers, with the names and definitions of `ir-measures`."""
