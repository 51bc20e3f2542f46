"""Learning from labelled examples: adapters, fusion weights, embedders and rerankers. Knows nothing of a house."""

import os

# Read by OpenMP when torch is first imported: threads that wait for one another sleep instead of spinning. On idle
# cores that costs nothing; where other work takes a core, spinning made a training several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
