"""Floor 3: houses measured, compared and let through the gate: the walks of evaluation wired to open houses."""
