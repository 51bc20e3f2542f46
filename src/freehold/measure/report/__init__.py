"""The report of an experiment: one HTML page that asks nothing of any network."""
