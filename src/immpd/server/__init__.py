"""Listeners and conversations: octets of a connection ⇄ the protocol ⇄ a session of the service."""
