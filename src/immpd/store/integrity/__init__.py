"""The store checks itself, and remembers what is damaged."""
