"""Every status code of the protocol: one table, each code one meaning (docs/protocol.md, "Codes").

Rules: a number is written nowhere else in the source; a reply ends at its first undashed line
whose code is ``final``, unless it is ``beside``: then it answers ACK or CANCEL, which wait for nobody,
and the reply that it interrupts goes on; ``closes`` says that the sender hangs up after it.
"""

from enum import IntEnum


class Code(IntEnum):
    """A status code; ``meaning`` is what the reference page says of it."""

    meaning: str
    final: bool
    closes: bool
    beside: bool

    def __new__(
        cls, number: int, meaning: str, final: bool = True, closes: bool = False, beside: bool = False
    ) -> "Code":
        """Keep what the table says beside the number."""
        code = int.__new__(cls, number)
        code._value_ = number
        code.meaning = meaning
        code.final = final
        code.closes = closes
        code.beside = beside
        return code

    # 1xx information
    GREETING = 100, "A line of the greeting, for people", False
    CAPABILITIES = 101, "Ends the greeting: protocol, version, domain and, inside TLS, capabilities"
    UPGRADE_METHOD = 102, "A method that UPGRADE takes", False
    # 2xx success
    OK = 200, "Done"
    GOODBYE = 203, "The server says good-bye and closes", True, True
    UPGRADING = 204, "The next octets are the TLS handshake"
    KEPT = 205, "ACK: the position is kept", True, False, True
    STOPPED = 206, "CANCEL: nothing runs in the pipeline any more", True, False, True
    AUTHENTICATED = 210, "Authentication accepted"
    ACCOUNT = 231, "An account (rows), or the end of the list"
    SALT = 232, "Salt and rounds with which an account's verifier is made"
    SESSION = 233, "An open session (rows), or the end of the list"
    COUNTS = 240, "A folder's unread and total counts and its state"
    FOLDER = 241, "A folder (rows), or the end of the list"
    MESSAGES = 250, "A message or index row (rows), or the end of them"
    STORED = 251, "A message was put into a mailbox"
    BLOCK = 255, "Octets of a message part follow", False
    EVENT = 260, "Something happened (rows), or the watch has ended"
    NOTIFICATION = 261, "A notification (rows), or the end of them"
    PUSH_STATUS = 262, "What became of a notification at each recipient (rows), or the end of them"
    GRANT = 263, "A grant (rows), or the end of them"
    REQUEST = 264, "A stranger that waits (rows), or the end of them"
    TOKEN = 265, "A push token (rows), or the end of them"
    ORIGIN = 266, "A sender that was approved or declined (rows), or the end of them"
    SETTING = 267, "A setting of the account (rows), or the end of them"
    OPENED = 270, "A message is open: DATA, then DONE"
    READY = 271, "The part is awaited or being read", False
    PART = 272, "The part is complete"
    DELIVERED = 273, "What became of each recipient (rows), then the message's id"
    SUBSCRIBED = 280, "The subscription: its UUID and the node's title"
    SUBSCRIPTION = 281, "A subscription (rows)"
    SUBSCRIPTIONS = 282, "The end of the subscriptions"
    UNSUBSCRIBED = 283, "The subscription was left"
    NODE = 284, "A node (rows), or the end of the list"
    MEMBER = 285, "Somebody whom a node knows (rows), or the end of the list"
    ITEM = 286, "An item (rows), or the end of them"
    FINDING = 290, "What the store's check found (rows), or its verdict"
    # 3xx progress
    NONCES = 302, "Nonces follow", False
    SECRET_CHALLENGE = 303, "The nonces and key derivation of AUTH SECRET; answer with AUTH RESPONSE"
    SCRAM_CHALLENGE = 304, "SCRAM's server-first message; answer with AUTH RESPONSE"
    METADATA = 380, "The node's metadata are being fetched", False
    # 4xx understood and refused
    BAD_VALUE = 400, "A value cannot be what it is"
    DENIED = 403, "There is no right to do this"
    NOT_FOUND = 404, "What was named does not exist"
    NOT_KEPT = 405, "ACK: the position is not kept", True, False, True
    NOT_STOPPED = 406, "CANCEL: there is nothing to stop", True, False, True
    CONFLICT = 409, "The present state does not allow it"
    AUTH_FAILED = 410, "Authentication failed"
    LIMIT = 413, "More than a limit allows"
    CANCELLED = 420, "The command was cancelled before it took effect"
    TEMPORARY = 450, "Not possible now; retry= says after how many seconds to try again"
    NO_ROUTE = 451, "The recipient's domain is not served here"
    # 7xx protocol and server errors
    SYNTAX = 700, "The line or a value in it is malformed"
    UNKNOWN = 701, "An unknown command, parameter or switch"
    STATE = 704, "Not in this state; the text names what would be needed"
    ATTEMPTS = 705, "Too many failed attempts", True, True
    CLEAR = 710, "In clear only UPGRADE and QUIT are answered"
    UPGRADE_REFUSED = 711, "That method of encryption is not offered"
    OUT_OF_STEP = 720, "The two sides may be out of step", True, True
    BOUND = 721, "A bound in time or octets was passed", True, True
    INTERNAL = 750, "The server failed; it has logged why"
    SHUTDOWN = 751, "The server ends the session: it is shutting down, or the word says why", True, True
    UNKNOWN_OUTCOME = 752, "Whether what is unanswered took effect is not known", True, True


def describe(number: int) -> Code | None:
    """The table's entry for a number, or None for a number that the table does not have."""
    return _BY_NUMBER.get(number)


_BY_NUMBER: dict[int, Code] = {int(code): code for code in Code}
