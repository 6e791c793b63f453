"""The client without ``async``: made by blocking_source.py, never edited by hand.

    with immpd.client.blocking.connect("alice@a.com", password="…") as me:
        for row in me.index("/inbox", limit=10):
            print(row.from_, row.subject)

Rules: a session has a loop on a thread of its own, and may be used from any thread; iterators take from
the server only what is taken from them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

from immpd.model.feed import NodeOptions
from immpd.model.imid import Imid
from immpd.model.message import FetchedMessage, IndexRow
from immpd.model.notification import Action
from immpd.net.fingerprints import FirstSight, KnownPeers
from immpd.protocol import replies as r
from immpd.protocol.connection import Block
from immpd.protocol.registry import Request

from .blocking_loop import LoopThread, R
from .client import Client as AsyncClient
from .client import Secret
from .composing import Attachment, Recipients
from .connecting import open_client
from .events import Event
from .notifying import Id
from .publishing import Digest, Form, NodeLike
from .watching import PathLike, Reconnecting

__all__ = ["Client", "connect"]


class Client:
    """A session, as ``immpd.client.Client``; made by ``connect``."""

    def __init__(self, client: AsyncClient, thread: LoopThread) -> None:
        self._client = client
        self._thread = thread

    @property
    def about(self) -> r.Capabilities:
        """What the server's greeting inside TLS offered."""
        return self._client.about

    @property
    def account(self) -> Imid | None:
        """Who this session is."""
        return self._client.account

    @property
    def secret(self) -> Secret | None:
        """What the password became, for the next log-in without it."""
        return self._client.secret

    def call(self, request: Request[R], octets: bytes | None = None) -> R:
        """Run one command to its typed reply; ``octets`` are what follows DATA."""
        return self._thread.run(self._client.call(request, octets))

    def noop(self) -> r.Ok:
        """Nothing, and back: NOOP."""
        return self._thread.run(self._client.noop())

    def who(self) -> r.Who:
        """Account, device and state of this session: WHO."""
        return self._thread.run(self._client.who())

    def caps(self) -> r.Capabilities:
        """What the server offers: CAPS."""
        return self._thread.run(self._client.caps())

    def help(self, *words: str) -> tuple[str, ...]:
        """The server's help, of all commands or of one: HELP."""
        return self._thread.run(self._client.help(*words))

    def cancel(self, pid: str) -> r.Stopped:
        """End what runs in a pipeline (``ReplyStream.pipeline``): CANCEL."""
        return self._thread.run(self._client.cancel(pid))

    def close(self) -> None:
        """Say QUIT, wait a moment for the good-bye, hang up."""
        self._thread.run(self._client.close())

    def abort(self) -> None:
        """Hang up at once."""
        self._thread.run(self._client.abort())

    def folders(self) -> tuple[r.FolderRow, ...]:
        """All folders with their counts: MBOX LIST."""
        return self._thread.run(self._client.folders())

    def check(self, path: PathLike, *, recursive: bool = False) -> tuple[r.FolderCounts, ...]:
        """Unread, total and state of a folder, with ``recursive`` of all below it too: MBOX CHECK."""
        return self._thread.run(self._client.check(path, recursive=recursive))

    def create(self, path: PathLike) -> r.Ok:
        """Make a folder: MBOX CREATE."""
        return self._thread.run(self._client.create(path))

    def rename(self, path: PathLike, to: PathLike) -> r.Ok:
        """Give a folder, with all below it, another name or place: MBOX RENAME."""
        return self._thread.run(self._client.rename(path, to))

    def remove(self, path: PathLike, *, recursive: bool = False) -> r.Ok:
        """Remove an empty folder; ``recursive`` sends what is in it to TRASH: MBOX REMOVE."""
        return self._thread.run(self._client.remove(path, recursive=recursive))

    def index_page(
        self,
        path: PathLike,
        *,
        since: str | None = None,
        after: UUID | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> r.IndexPage:
        """One page of a folder's rows with its state, and whether more follow: MBOX INDEX."""
        return self._thread.run(self._client.index_page(path, since=since, after=after, limit=limit, reverse=reverse))

    def index(
        self,
        path: PathLike,
        *,
        since: str | None = None,
        after: UUID | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[IndexRow]:
        """A folder's rows, newest first, page by page as they are taken: MBOX INDEX.

        ``since`` (a state) shows only what changed after it; ``after`` begins behind a message.
        """
        yield from self._thread.iterate(
            self._client.index(path, since=since, after=after, limit=limit, reverse=reverse)
        )

    def fetch(
        self, path: PathLike, *, keep_unread: bool = False, after: UUID | str | None = None, limit: int | None = None
    ) -> Iterator[FetchedMessage]:
        """Messages with envelope, text and small parts; marks them read unless ``keep_unread``: MBOX FETCH +JSON."""
        yield from self._thread.iterate(self._client.fetch(path, keep_unread=keep_unread, after=after, limit=limit))

    def fetch_json(
        self, path: PathLike, *, keep_unread: bool = False, after: UUID | str | None = None, limit: int | None = None
    ) -> Iterator[bytes]:
        """As ``fetch``, each message as the JSON object that came."""
        yield from self._thread.iterate(
            self._client.fetch_json(path, keep_unread=keep_unread, after=after, limit=limit)
        )

    def fetch_text(self, path: PathLike, *, keep_unread: bool = False, limit: int | None = None) -> Iterator[str]:
        """Messages as lines of text for people, an empty line behind each: MBOX FETCH."""
        yield from self._thread.iterate(self._client.fetch_text(path, keep_unread=keep_unread, limit=limit))

    def fetch_mime(self, path: PathLike, *, keep_unread: bool = False) -> Iterator[Block]:
        """Messages as Internet mail, in blocks of at most 64 KiB: MBOX FETCH +MIME."""
        yield from self._thread.iterate(self._client.fetch_mime(path, keep_unread=keep_unread))

    def raw(self, path: PathLike, *, keep_unread: bool = False) -> Iterator[Block]:
        """Each part's octets as they are, in blocks that name message and part: MBOX FETCH +RAW."""
        yield from self._thread.iterate(self._client.raw(path, keep_unread=keep_unread))

    def fetch_part(self, path: PathLike, part: int, range: tuple[int, int | None] | None = None) -> Iterator[bytes]:
        """The octets of one part of one message, or a ``range`` of them (first, last or None): MBOX FETCH PART."""
        yield from self._thread.iterate(self._client.fetch_part(path, part, range))

    def flag(self, path: PathLike, *, add: Iterable[str] = (), clear: Iterable[str] = ()) -> r.Changed:
        """Set and clear READ, FLAGGED, ANSWERED, IMPORTANT, DRAFT and keywords of messages: MBOX FLAG."""
        return self._thread.run(self._client.flag(path, add=add, clear=clear))

    def move(self, path: PathLike, to: PathLike) -> r.Changed:
        """Move messages into another folder: MBOX MOVE."""
        return self._thread.run(self._client.move(path, to))

    def copy(self, path: PathLike, to: PathLike) -> r.Copied:
        """Put messages into a further folder: MBOX COPY."""
        return self._thread.run(self._client.copy(path, to))

    def delete(self, path: PathLike, *, purge: bool = False) -> r.Changed:
        """Messages to TRASH, or with ``purge`` gone for good: MBOX DELETE."""
        return self._thread.run(self._client.delete(path, purge=purge))

    def change_password(
        self, new: str, *, keep_sessions: bool = False, remove_tokens: bool = False
    ) -> r.PasswordChanged:
        """Set another password; wants a log-in of the last 5 minutes: AUTH PASSWORD. ``secret`` is what it became.

        All other sessions of the account end, unless ``keep_sessions``. Push tokens still work, unless
        ``remove_tokens``; the reply names those that remain, and how many sessions ended. Raises ScramError where the
        password has characters that none can have.
        """
        return self._thread.run(
            self._client.change_password(new, keep_sessions=keep_sessions, remove_tokens=remove_tokens)
        )

    def sessions(self) -> Iterator[r.SessionRow]:
        """The account's open sessions, by the time of their log-in, page by page as they are taken: SESSION LIST."""
        yield from self._thread.iterate(self._client.sessions())

    def end_session(self, id: UUID | str) -> r.SessionsEnded:
        """End another session of the account: SESSION END."""
        return self._thread.run(self._client.end_session(id))

    def end_other_sessions(self) -> r.SessionsEnded:
        """End all sessions of the account but this one: SESSION END *."""
        return self._thread.run(self._client.end_other_sessions())

    def push(
        self,
        to: Recipients,
        title: str = "",
        text: str = "",
        *,
        actions: Iterable[Action] = (),
        icon: str = "",
        level: str | None = None,
        ttl: int | None = None,
        at: datetime | None = None,
        tag: str | None = None,
        id: Id | None = None,
        token: str | None = None,
        sender: str | Imid | None = None,
    ) -> r.Delivered:
        """Notify people: PUSH. ``ttl`` in seconds; ``at``: not before; ``tag`` replaces what has the same tag.
        ``sender``: a node that one may publish on; then it reaches its subscribers and nobody else.

        With ``actions`` or ``icon`` it is a card, and an answer comes back as an ``answer`` event of ``watch`` and
        in ``push_status``. The reply's ``id`` is the push; the same ``id`` again replaces it. Refused is raised
        where nobody gets it.
        """
        return self._thread.run(
            self._client.push(
                to,
                title,
                text,
                actions=actions,
                icon=icon,
                level=level,
                ttl=ttl,
                at=at,
                tag=tag,
                id=id,
                token=token,
                sender=sender,
            )
        )

    def notifications(
        self, *, after: Id | None = None, limit: int | None = None, ended: bool = False
    ) -> r.Notifications:
        """Notifications that wait for an answer, the newest first; with ``ended`` all that are kept: PUSH LIST."""
        return self._thread.run(self._client.notifications(after=after, limit=limit, ended=ended))

    def notification(self, id: Id) -> r.Notifications:
        """One notification as a row: PUSH SHOW."""
        return self._thread.run(self._client.notification(id))

    def answer(self, id: Id, action: str) -> r.Ok:
        """Press a notification's button, once: PUSH ANSWER."""
        return self._thread.run(self._client.answer(id, action))

    def dismiss(self, id: Id) -> r.Ok:
        """Clear a notification on all devices: PUSH DISMISS."""
        return self._thread.run(self._client.dismiss(id))

    def retract(self, id: Id) -> r.Ok:
        """Take a push of one's own back where nobody answered it: PUSH RETRACT."""
        return self._thread.run(self._client.retract(id))

    def push_status(self, id: Id) -> tuple[r.PushStatusRow, ...]:
        """What became of a push of one's own, a row a recipient: PUSH STATUS."""
        return self._thread.run(self._client.push_status(id))

    def allow_push(self, origin: str, level: str | None = None) -> r.Ok:
        """Let a domain or sender notify you, no more urgently than ``level``: PUSH ALLOW."""
        return self._thread.run(self._client.allow_push(origin, level))

    def deny_push(self, origin: str) -> r.Ok:
        """Refuse a domain or sender: PUSH DENY."""
        return self._thread.run(self._client.deny_push(origin))

    def forget_push(self, origin: str) -> r.Ok:
        """Take that decision back: PUSH FORGET."""
        return self._thread.run(self._client.forget_push(origin))

    def push_origins(self) -> tuple[r.OriginRow, ...]:
        """Whom you allowed or denied: PUSH ORIGINS."""
        return self._thread.run(self._client.push_origins())

    def add_push_token(self, name: str, *, level: str | None = None, every: int | None = None) -> str:
        """A secret that may notify you and nothing else, shown this once: PUSH TOKEN ADD."""
        return self._thread.run(self._client.add_push_token(name, level=level, every=every))

    def push_tokens(self) -> tuple[r.TokenRow, ...]:
        """Your tokens: PUSH TOKEN LIST."""
        return self._thread.run(self._client.push_tokens())

    def remove_push_token(self, name: str) -> r.Ok:
        """It can do nothing from now on: PUSH TOKEN REMOVE."""
        return self._thread.run(self._client.remove_push_token(name))

    def add_grant(self, *, domain: str | None = None, uses: int | None = None, until: datetime | None = None) -> str:
        """An address to hand to a site that shall notify you a few times: GRANT ADD."""
        return self._thread.run(self._client.add_grant(domain=domain, uses=uses, until=until))

    def grants(self) -> tuple[r.GrantRow, ...]:
        """Those that can still be used: GRANT LIST."""
        return self._thread.run(self._client.grants())

    def remove_grant(self, address: str | Imid) -> r.Ok:
        """It opens nothing any more: GRANT REMOVE."""
        return self._thread.run(self._client.remove_grant(address))

    def requests(self) -> tuple[r.RequestRow, ...]:
        """Strangers that ask to notify you: REQUEST LIST."""
        return self._thread.run(self._client.requests())

    def accept_request(self, id: Id) -> r.Ok:
        """Let a stranger's domain notify you: REQUEST ACCEPT."""
        return self._thread.run(self._client.accept_request(id))

    def decline_request(self, id: Id) -> r.Ok:
        """Refuse a stranger's domain: REQUEST DECLINE."""
        return self._thread.run(self._client.decline_request(id))

    def settings(self) -> dict[str, str]:
        """What you set for your account: SET GLOBAL."""
        return self._thread.run(self._client.settings())

    def set_setting(self, name: str, value: str) -> r.Settings:
        """Set something for your account; an empty value takes it back: SET GLOBAL."""
        return self._thread.run(self._client.set_setting(name, value))

    def publish(
        self,
        node: NodeLike,
        title: str | None = None,
        body: str | bytes = "",
        *,
        type: str | None = None,
        important: bool | None = None,
        id: UUID | str | None = None,
    ) -> r.Published:
        """Publish an item: PUBLISH. The reply comes when it is on disk, and says how many subscribers have it.

        ``type`` is a media type, by default ``text/plain``. ``id`` makes publishing again safe: the same item with
        the same ID is published once, another is a new edition of it; the reply's ``id`` is it.
        """
        return self._thread.run(self._client.publish(node, title, body, type=type, important=important, id=id))

    def retract_item(self, node: NodeLike, id: UUID | str) -> r.Ok:
        """Take an item back; who has not seen it never will: PUBLISH RETRACT."""
        return self._thread.run(self._client.retract_item(node, id))

    def accept_item(self, node: NodeLike, id: UUID | str) -> r.Published:
        """Publish what a subscriber of one's moderated list wrote: PUBLISH ACCEPT."""
        return self._thread.run(self._client.accept_item(node, id))

    def create_node(self, node: NodeLike, options: NodeOptions | None = None) -> r.Ok:
        """Make a node under one's own name: PUBLISH CREATE; what is not given has its default."""
        return self._thread.run(self._client.create_node(node, options))

    def set_node(self, node: NodeLike, options: NodeOptions) -> r.Ok:
        """Change what is given of one's node: PUBLISH SET."""
        return self._thread.run(self._client.set_node(node, options))

    def remove_node(self, node: NodeLike) -> r.Ok:
        """Remove one's node with all its items: PUBLISH REMOVE."""
        return self._thread.run(self._client.remove_node(node))

    def nodes(self) -> tuple[r.NodeRow, ...]:
        """The nodes one owns or may publish on: PUBLISH LIST."""
        return self._thread.run(self._client.nodes())

    def node(self, node: NodeLike, *, limit: int | None = None) -> r.NodeShown:
        """A node and, in ``rows``, its newest items with their accounting: PUBLISH SHOW."""
        return self._thread.run(self._client.node(node, limit=limit))

    def members(self, node: NodeLike) -> Iterator[r.MemberRow]:
        """Publishers, members, subscribers and who waits to be let in: PUBLISH MEMBERS LIST."""
        yield from self._thread.iterate(self._client.members(node))

    def add_member(self, node: NodeLike, member: str | Imid, *, publisher: bool = False) -> r.Ok:
        """Make somebody a member of one's node, or a publisher: PUBLISH MEMBERS ADD."""
        return self._thread.run(self._client.add_member(node, member, publisher=publisher))

    def remove_member(self, node: NodeLike, member: str | Imid) -> r.Ok:
        """Forget somebody, and end their subscription: PUBLISH MEMBERS REMOVE."""
        return self._thread.run(self._client.remove_member(node, member))

    def accept_member(self, node: NodeLike, member: str | Imid) -> r.Ok:
        """Let a subscriber in who waits: PUBLISH MEMBERS ACCEPT."""
        return self._thread.run(self._client.accept_member(node, member))

    def subscribe(
        self,
        node: NodeLike,
        *,
        form: Form | None = None,
        digest: Digest | None = None,
        folder: str | Imid | None = None,
    ) -> r.Subscribed:
        """Subscribe to a node, also by its link; ``folder`` is where its messages go: SUBSCRIBE TO.

        ``digest``, in place of ``form``: a message every hour or day that names what was published.
        """
        return self._thread.run(self._client.subscribe(node, form=form, digest=digest, folder=folder))

    def subscriptions(self) -> tuple[r.SubscriptionRow, ...]:
        """One's subscriptions, the oldest first: SUBSCRIBE LIST."""
        return self._thread.run(self._client.subscriptions())

    def subscription(self, name: NodeLike | UUID) -> r.SubscriptionRow:
        """One subscription, by its UUID or node, with what the node says of itself: SUBSCRIBE SHOW."""
        return self._thread.run(self._client.subscription(name))

    def set_subscription(
        self,
        name: NodeLike | UUID,
        *,
        form: Form | None = None,
        digest: Digest | None = None,
        folder: str | Imid | None = None,
        muted: bool | None = None,
        seen: bool | None = None,
    ) -> r.Ok:
        """Change a subscription; ``seen``: the publisher may count what was seen: SUBSCRIBE SET."""
        return self._thread.run(
            self._client.set_subscription(name, form=form, digest=digest, folder=folder, muted=muted, seen=seen)
        )

    def dismiss_item(self, node: NodeLike, id: UUID | str) -> r.Ok:
        """Clear an item on every device: SUBSCRIBE DISMISS."""
        return self._thread.run(self._client.dismiss_item(node, id))

    def unsubscribe(self, name: NodeLike | UUID) -> r.Unsubscribed:
        """Leave a node, at once: UNSUBSCRIBE."""
        return self._thread.run(self._client.unsubscribe(name))

    def items(
        self, since: str | None = None, *, node: NodeLike | None = None, limit: int | None = None
    ) -> Iterator[Event]:
        """What one's nodes published behind a cursor, with all octets in ``octets``: SUBSCRIBE SINCE."""
        yield from self._thread.iterate(self._client.items(since, node=node, limit=limit))

    def send(
        self,
        to: Recipients = (),
        subject: str | None = None,
        text: str | None = None,
        *,
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        secure: bool = False,
        id: UUID | str | None = None,
        eml: Path | bytes | None = None,
        in_reply_to: str | None = None,
        references: Iterable[str] = (),
    ) -> r.Delivered:
        """Send a message: DELIVER, DATA for each part, DONE.

        Large files are read and sent side by side as the server takes them. ``eml`` is a whole Internet mail
        (RFC 5322) in place of ``text`` and ``attachments``. ``id`` makes sending again safe: the same message
        with the same ID is delivered once; the reply's ``id`` is it. ``in_reply_to`` and ``references`` are ids of
        other messages; ``reply`` fills them. Refused is raised where nobody gets the message; otherwise the reply's
        rows say what became of each recipient. OSError where a file cannot be read.
        """
        return self._thread.run(
            self._client.send(
                to,
                subject,
                text,
                cc=cc,
                bcc=bcc,
                attachments=attachments,
                important=important,
                secure=secure,
                id=id,
                eml=eml,
                in_reply_to=in_reply_to,
                references=references,
            )
        )

    def put(
        self,
        path: PathLike,
        subject: str | None = None,
        text: str | None = None,
        *,
        to: Recipients = (),
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        flags: Iterable[str] = (),
        id: UUID | str | None = None,
        eml: Path | bytes | None = None,
        in_reply_to: str | None = None,
        references: Iterable[str] = (),
    ) -> r.Stored:
        """Put a message into a folder without sending it: MBOX PUT, DATA for each part, DONE."""
        return self._thread.run(
            self._client.put(
                path,
                subject,
                text,
                to=to,
                cc=cc,
                bcc=bcc,
                attachments=attachments,
                important=important,
                flags=flags,
                id=id,
                eml=eml,
                in_reply_to=in_reply_to,
                references=references,
            )
        )

    def reply(
        self,
        path: PathLike,
        text: str = "",
        *,
        all: bool = False,
        quoted: bool = False,
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        secure: bool = False,
        id: UUID | str | None = None,
    ) -> r.Delivered:
        """Answer a message, ``at("/inbox", id)``, and mark it as answered: DELIVER, then MBOX FLAG.

        It goes where Reply-To says, else to who wrote it; ``all``: to everybody who got it, and to the list that it
        came through instead of its writer; never to oneself. ``quoted``: its text stands above yours. The mark is
        missing where the message has gone, or the connection was lost, when the answer had been delivered.
        """
        return self._thread.run(
            self._client.reply(
                path,
                text,
                all=all,
                quoted=quoted,
                cc=cc,
                bcc=bcc,
                attachments=attachments,
                important=important,
                secure=secure,
                id=id,
            )
        )

    def forward(
        self,
        path: PathLike,
        to: Recipients,
        text: str = "",
        *,
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        secure: bool = False,
        id: UUID | str | None = None,
    ) -> r.Delivered:
        """Send a message on with all its attachments, its text below yours: DELIVER.

        An Internet mail goes along as it came, octet for octet, as an attachment of the type message/rfc822.
        """
        return self._thread.run(
            self._client.forward(
                path, to, text, cc=cc, bcc=bcc, attachments=attachments, important=important, secure=secure, id=id
            )
        )

    def thread(
        self, path: PathLike, *, since: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> Iterator[IndexRow]:
        """The rows of the conversation around a message, folder by folder, newest first: MBOX INDEX +THREADS.

        A message that lies in two folders is a row in both.
        """
        yield from self._thread.iterate(self._client.thread(path, since=since, limit=limit, reverse=reverse))

    def message(self, path: PathLike) -> FetchedMessage:
        """One message, which stays unread if it is: MBOX FETCH +JSON -READ."""
        return self._thread.run(self._client.message(path))

    def text(self, path: PathLike, message: FetchedMessage) -> str:
        """What a person reads in a message."""
        return self._thread.run(self._client.text(path, message))

    def attachments_of(self, path: PathLike, message: FetchedMessage, folder: Path) -> list[Attachment]:
        """What a message has besides its text; large parts as files in ``folder``."""
        return self._thread.run(self._client.attachments_of(path, message, folder))

    def mark_answered(self, path: PathLike) -> bool:
        """Set ANSWERED; False where it cannot be: the message has gone, or the connection."""
        return self._thread.run(self._client.mark_answered(path))

    def reconnect(self) -> None:
        """Connect and log in again as before, where the connection is lost; later calls go over the new one.

        What was under way when it was lost stays lost. Raises what ``open_client`` raises, and ConnectionLost
        where the session was closed on purpose.
        """
        self._thread.run(self._client.reconnect())

    def watch(
        self,
        *paths: PathLike,
        since: str | None = None,
        name: str = "",
        acknowledge: bool = False,
        reconnect: bool | Reconnecting = True,
    ) -> Iterator[Event]:
        """Events as they happen, from ``since`` (a cursor), else from where this device acknowledged last: WATCH.

        The first is ``watching``. ``acknowledge`` confirms each event when the next is asked for. A watch does not
        end by itself: when the connection is lost it connects again, for this whole session, and goes on behind the
        last event, with another ``watching`` first; ``reconnect`` is False where it shall raise ConnectionLost
        instead, or says how and how often. It raises what trying again cannot mend, such as the Refused with which the
        server ended this session for good (another password, SESSION END).
        """
        yield from self._thread.iterate(
            self._client.watch(*paths, since=since, name=name, acknowledge=acknowledge, reconnect=reconnect)
        )

    def ack(self, cursor: str, *, name: str = "") -> r.Kept:
        """Confirm all events up to a cursor; the server keeps it for this device and the watch's name: ACK."""
        return self._thread.run(self._client.ack(cursor, name=name))


@contextmanager
def connect(
    address: str,
    *,
    server: str | None = None,
    password: str | None = None,
    h: "Secret | bytes | None" = None,
    device: str = "",
    fingerprint: str | None = None,
    known: KnownPeers | None = None,
    on_first_sight: Callable[[FirstSight], None] | None = None,
    direct: bool = False,
) -> Iterator[Client]:
    """``with connect("alice@a.com", password=…) as me:``; everything as ``immpd.client.open_client`` says."""
    thread = LoopThread()
    try:
        client = thread.run(
            open_client(
                address,
                server=server,
                password=password,
                h=h,
                device=device,
                fingerprint=fingerprint,
                known=known,
                on_first_sight=on_first_sight,
                direct=direct,
            )
        )
        try:
            yield Client(client, thread)
        except BaseException:
            thread.run(client.abort())
            raise
        thread.run(client.close())
    finally:
        thread.stop()
