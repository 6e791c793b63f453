"""Feeds: nodes, publishing on them, and what becomes of an item."""
