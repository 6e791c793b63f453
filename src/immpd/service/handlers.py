"""Every handler there is: importing this module registers them (``session.handles``).

Rule: a module with a handler stands here, and nothing imports this but who drives sessions.
"""

from . import about
from .accounts import administration, auth, sessions
from .feeds import nodes, publishing, subscribing
from .mail import checking, delivery, fetching, mailboxes, messages, sending, watching
from .push import consent, notifications, pushing

__all__ = [
    "about",
    "administration",
    "auth",
    "checking",
    "consent",
    "delivery",
    "fetching",
    "mailboxes",
    "messages",
    "nodes",
    "notifications",
    "publishing",
    "pushing",
    "sending",
    "sessions",
    "subscribing",
    "watching",
]
