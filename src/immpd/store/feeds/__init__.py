"""Nodes, their items and who subscribed to them."""
