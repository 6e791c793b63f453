"""What all errors have in common that a user of the library meets.

Rule: whatever ``immpd.client`` raises on purpose is an ImmpError; other exceptions are the program's own
mistakes (TypeError, RuntimeError) or its own files' (OSError).
"""


class ImmpError(Exception):
    """Something about IMMP went wrong; the text is for people."""
