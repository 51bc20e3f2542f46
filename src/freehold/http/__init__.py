"""HTTP: the service as other programs call it. Routes translate and check; what they do stands in ``freehold.serving``."""
