"""The audit: what is wrong with a house, or with somebody else's service, in findings with figures and a way out."""
