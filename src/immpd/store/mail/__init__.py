"""Mailboxes: delivery, folders, messages and their changes."""
