"""The command ``immp``, a module a command."""
