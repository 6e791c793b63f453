"""What the greeting says that a server offers beyond the core: ``caps=`` (docs/protocol.md, "Greeting")."""

CAPABILITIES: dict[str, str] = {
    "WATCH": "WATCH and ACK",
    "PUT": "MBOX PUT",
    "RANGE": "RANGE of MBOX FETCH",
    "FEEDS": "PUBLISH, SUBSCRIBE, UNSUBSCRIBE and their kin, and mailing lists as recipients",
}
"""Word: the commands and parameters that a client may use where it stands."""
