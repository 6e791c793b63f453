"""Notifications: who may send them, what they are, and when they are due."""
