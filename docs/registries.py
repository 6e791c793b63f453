"""The names that the protocol keeps lists of, from where the code keeps them."""

from typing import get_args

from immpd.app.configuration import PORT, PORT_TLS
from immpd.model.filters import State as StateTerms
from immpd.model.flags import FLAG_BITS
from immpd.model.notification import LEVELS, MEDIA_TYPE
from immpd.net.certificates import ALPN
from immpd.protocol.capabilities import CAPABILITIES
from immpd.protocol.commands import Noop
from immpd.protocol.events import EVENTS
from immpd.protocol.registry import BY_REQUEST, COMMANDS
from immpd.protocol.replies import ScramChallenge, SecretChallenge
from immpd.service.push.consent import SETTINGS
from immpd.store.push.notifications import Status, Why

assert Noop in BY_REQUEST


def capabilities() -> str:
    """Every word of ``caps=``."""
    rows = ["| word | where it stands one may use |", "| --- | --- |"]
    return "\n".join(rows + [f"| `{word}` | {meaning} |" for word, meaning in CAPABILITIES.items()])


def registries() -> str:
    """Every list of names, with what is in it."""
    challenges = (ScramChallenge, SecretChallenge)
    mechanisms = [command.keywords[1] for command in COMMANDS if command.reply in challenges]
    lists = {
        "ports (TCP)": [f"{PORT} (UPGRADE)", f"{PORT_TLS} (TLS from the first octet)"],
        "ALPN": [ALPN],
        "media types": [MEDIA_TYPE],
        "URI schemes": ["immp:", "imid:"],
        "mechanisms (`auth=`)": mechanisms,
        "channel bindings (`cb=`)": ["tls-server-end-point"],
        "key derivation (`kda=`)": ["pbkdf2-sha256"],
        "capabilities (`caps=`)": list(CAPABILITIES),
        "events": [kind.__annotations__["event"].__args__[0] for kind in EVENTS],
        "flags": list(FLAG_BITS),
        "terms of a filter": [*get_args(StateTerms), "keyword:", "from:", "since:", "assigned:"],
        "levels, the least urgent first": list(LEVELS),
        "what let a notification in (`why`)": list(get_args(Why)),
        "status of a notification": [one for one in get_args(Status) if one != "waiting"],
        "settings of an account": list(SETTINGS),
        "parts of a block beside numbers": ["mime", "json", "body"],
    }
    rows = ["| names of | are |", "| --- | --- |"]
    return "\n".join(
        rows + [f"| {what} | {', '.join(f'`{name}`' for name in names)} |" for what, names in lists.items()]
    )
