"""Serving: a house kept open for many callers at once, whatever protocol they speak."""
