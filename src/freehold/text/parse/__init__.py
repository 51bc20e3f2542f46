"""Bytes of a file to its text: pages, headings and what could not be read. Start at ``freehold.text.parse.parser``."""
