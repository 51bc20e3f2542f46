"""Freehold: a retrieval-augmented generation platform that a regulated team owns outright."""

__version__ = "0.1.0"
