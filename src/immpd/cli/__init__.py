"""The command lines: words and exit codes over a Caller, no side door to the store."""
