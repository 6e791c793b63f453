"""Replies about notifications and who may send them."""

from immpd.model.notification import NotificationRow
from immpd.protocol.codes import Code
from immpd.protocol.lines import Words

from .base import JsonListed, Listed, Reply


class Notifications(JsonListed, frozen=True, kw_only=True):
    """PUSH LIST and PUSH SHOW: JSON rows, then how many, and whether more follow."""

    CODE = Code.NOTIFICATION
    ROW = NotificationRow
    rows: tuple[NotificationRow, ...] = ()
    n: int = 0
    more: str | None = None


class PushStatusRow(Words, frozen=True, kw_only=True):
    """What became of a notification at one recipient."""

    CODE = Code.PUSH_STATUS
    WORDS = ("imid", "status")
    imid: str
    status: str
    """waiting, delivered, seen, answered, expired or retracted."""
    answer: str = ""
    at: str = ""


class PushStatuses(Listed, frozen=True, kw_only=True):
    """PUSH STATUS."""

    CODE = Code.PUSH_STATUS
    ROW = PushStatusRow
    rows: tuple[PushStatusRow, ...] = ()

    def end(self) -> str:
        """How many recipients."""
        return f"{self.count} recipients"


class NewToken(Reply, frozen=True, kw_only=True):
    """PUSH TOKEN ADD: the token, shown this once."""

    CODE = Code.TOKEN
    WORDS = ("name",)
    name: str
    token: str


class TokenRow(Words, frozen=True, kw_only=True):
    """A row of PUSH TOKEN LIST."""

    CODE = Code.TOKEN
    WORDS = ("name",)
    name: str
    level: str
    every: int
    created: str
    used: str = ""


class Tokens(Listed, frozen=True, kw_only=True):
    """PUSH TOKEN LIST."""

    CODE = Code.TOKEN
    ROW = TokenRow
    rows: tuple[TokenRow, ...] = ()

    def end(self) -> str:
        """How many tokens."""
        return f"{self.count} tokens"


class NewGrant(Reply, frozen=True, kw_only=True):
    """GRANT ADD: the address to hand out."""

    CODE = Code.GRANT
    WORDS = ("address",)
    address: str


class GrantRow(Words, frozen=True, kw_only=True):
    """A row of GRANT LIST."""

    CODE = Code.GRANT
    WORDS = ("address",)
    address: str
    domain: str = ""
    uses: int
    until: str = ""
    created: str


class Grants(Listed, frozen=True, kw_only=True):
    """GRANT LIST."""

    CODE = Code.GRANT
    ROW = GrantRow
    rows: tuple[GrantRow, ...] = ()

    def end(self) -> str:
        """How many grants."""
        return f"{self.count} grants"


class RequestRow(Words, frozen=True, kw_only=True):
    """A row of REQUEST LIST."""

    CODE = Code.REQUEST
    WORDS = ("id", "origin")
    id: str
    origin: str
    sender: str
    since: str
    text: str = ""
    """The title of the notification that it got through."""


class Requests(Listed, frozen=True, kw_only=True):
    """REQUEST LIST."""

    CODE = Code.REQUEST
    ROW = RequestRow
    rows: tuple[RequestRow, ...] = ()

    def end(self) -> str:
        """How many requests."""
        return f"{self.count} requests"


class OriginRow(Words, frozen=True, kw_only=True):
    """A row of PUSH ORIGINS."""

    CODE = Code.ORIGIN
    WORDS = ("origin",)
    origin: str
    allowed: bool
    level: str
    since: str


class Origins(Listed, frozen=True, kw_only=True):
    """PUSH ORIGINS."""

    CODE = Code.ORIGIN
    ROW = OriginRow
    rows: tuple[OriginRow, ...] = ()

    def end(self) -> str:
        """How many decisions."""
        return f"{self.count} origins"


class SettingRow(Words, frozen=True, kw_only=True):
    """A row of SET GLOBAL."""

    CODE = Code.SETTING
    WORDS = ("name",)
    name: str
    text: str = ""


class Settings(Listed, frozen=True, kw_only=True):
    """SET GLOBAL."""

    CODE = Code.SETTING
    ROW = SettingRow
    rows: tuple[SettingRow, ...] = ()

    def end(self) -> str:
        """How many are set."""
        return f"{self.count} settings"
