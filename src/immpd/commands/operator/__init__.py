"""The command ``immpd``, a module a command."""
