"""The papers of Meridian, a fictional European insurer, and a walk through a house that holds them."""
