"""What the system does: authentication, delivery, mailboxes, watching. Plain functions on the store.

A handler takes the caller's session and a typed request and says what comes next (``outcome``).
"""
