"""Durable state: what a store promises (contract), units of work by subject, and SQLite as the default."""
