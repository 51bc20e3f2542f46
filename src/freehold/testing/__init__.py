"""Conformance suites, shipped: subclass one to prove an engine of your own."""
