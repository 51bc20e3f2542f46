"""Floor 3: houses taught: training sets made, models trained, chosen and promoted: the walks wired to open houses."""
