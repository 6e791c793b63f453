"""Mail: writing, delivering, reading and watching it."""
