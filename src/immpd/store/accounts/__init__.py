"""Accounts: the directory of who is here, and the end of an account."""
