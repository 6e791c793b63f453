"""The store on one SQLite file: group commit, honest fsync, no blocked loop."""
