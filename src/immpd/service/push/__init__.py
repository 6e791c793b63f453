"""Notifications: sending, answering, and who may."""
