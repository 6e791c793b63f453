"""Accounts, for the operator: ACCOUNT ADD, LIST, PASSWD, DISABLE, REMOVE, SALT; and STORE CHECK."""

from base64 import b64encode
from typing import Any

from immpd.model.imid import Imid, skeleton
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    AccountAdd,
    AccountDisable,
    AccountList,
    AccountPasswd,
    AccountRemove,
    AccountSalt,
    StoreCheck,
)
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Words
from immpd.service.damage import note_findings
from immpd.service.outcome import Outcome, Rows, Step
from immpd.service.session import Session, handles
from immpd.service.timestamps import time_text
from immpd.store.accounts.directory import (
    Account,
    ListAccounts,
    NewAccount,
    SetDisabled,
    add_account,
    list_accounts,
    set_disabled,
)
from immpd.store.accounts.removal import RemoveAccount, remove_account
from immpd.store.errors import OwnsNodes
from immpd.store.integrity.verify import Finding, verify

from .auth import new_verifier, store_password

PAGE = 200


def account_address(session: Session, imid: Imid) -> str:
    """The address of an account of a served domain; raises Refused."""
    if imid.is_own_box or imid.folder or imid.path or imid.ids or imid.filter is not None or imid.options:
        raise Refused(Code.BAD_VALUE, "BAD-ADDRESS", f"{imid} is no account; accounts are written name@domain")
    if imid.domain not in session.services.domains:
        served = ", ".join(sorted(session.services.domains))
        raise Refused(Code.NOT_FOUND, "NO-DOMAIN", f"{imid.domain} is not served here; served are {served}")
    return imid.address


@handles(AccountSalt)
def salt(session: Session, request: AccountSalt, _: Any) -> replies.Salt:
    """With what the verifier is made."""
    services = session.services
    octets = services.desk.salt(account_address(session, request.address))
    return replies.Salt(salt=b64encode(octets).decode(), i=services.authentication.iterations)


@handles(AccountAdd)
def add(session: Session, request: AccountAdd, _: Any) -> Outcome:
    """An account, its mailbox and the six folders."""
    address = account_address(session, request.address)
    services = session.services
    salt_ = services.desk.salt(address)
    rounds, stored, server, sealed = services.authentication.iterations, b"", b"", None
    if (request.stored, request.server, request.i) != (None, None, None):
        new = new_verifier(session, address, salt_, request)
        rounds, stored, server, sealed = new.iterations, new.stored_key, new.server_key, new.sealed
    unit = add_account(
        NewAccount(
            address=address,
            domain=request.address.domain,
            local=request.address.local,
            skeleton=skeleton(request.address.local),
            created=services.clock.now(),
            salt=salt_,
            iterations=rounds,
            stored_key=stored,
            server_key=server,
            folders=tuple(services.ids.octets() for _ in range(6)),
            sealed=sealed,
        )
    )
    return Step(unit, lambda account: replies.Ok(text=f"Added {account.address}"))


@handles(AccountList)
def list_(_: Session, __: AccountList, ___: Any) -> Outcome:
    """All accounts, by address."""
    count = 0

    def page_after(address: str) -> Step:
        return Step(list_accounts(ListAccounts(None, address, PAGE)), listed)

    def listed(page: list[Account]) -> Outcome:
        nonlocal count
        count += len(page)
        rows: list[Words] = [
            replies.AccountRow(
                address=account.address,
                disabled=account.disabled,
                password=bool(account.stored_key),
                created=time_text(account.created),
            )
            for account in page
        ]
        if len(page) < PAGE:
            return Rows(rows, lambda: replies.Accounts(before=count))
        return Rows(rows, lambda: page_after(page[-1].address))

    return page_after("")


@handles(AccountPasswd)
def passwd(session: Session, request: AccountPasswd, _: Any) -> Outcome:
    """A new verifier."""
    address = account_address(session, request.address)
    salt = session.services.desk.salt(address)
    return store_password(session, request, address, salt, f"The password of {address} is changed")


@handles(AccountDisable)
def disable(session: Session, request: AccountDisable, _: Any) -> Outcome:
    """Refuse log-in and delivery, or allow them again; open sessions of the account end."""
    address = account_address(session, request.address)

    def done(account: Account) -> replies.Ok:
        return replies.Ok(text=f"{account.address} is {'disabled' if request.disabled else 'enabled'}")

    return Step(set_disabled(SetDisabled(address, request.disabled)), done)


@handles(AccountRemove)
def remove(session: Session, request: AccountRemove, _: Any) -> Outcome:
    """Close the account for good and end its sessions; a chore does the rest (service/jobs/chores.py)."""
    services = session.services
    address = account_address(session, request.address)

    def done(_: None) -> replies.Ok:
        services.log.info("account removed", account=address, peer=session.peer)
        return replies.Ok(text=f"{address} is removed; what it had goes soon")

    def failed(error: BaseException) -> Outcome:
        if isinstance(error, OwnsNodes):
            names = ", ".join(error.names) + ", …" * error.more
            raise Refused(Code.CONFLICT, "OWNS-NODES", f"{address} has nodes, which are to be removed first: {names}")
        raise error

    return Step(remove_account(RemoveAccount(address, services.clock.now())), done, failed)


@handles(StoreCheck)
async def check(session: Session, _: StoreCheck, __: Any) -> replies.Findings:
    """Every row has its octets, every count is right, and more can be written."""
    services = session.services
    found = await verify(services.store, services.bodies)
    note_findings(services, found)
    short = services.room.finding(services.store.against)
    if short:
        found.append(Finding("room", "disk", short))
    return replies.Findings(rows=tuple(replies.Finding(text=f"{one.kind} {one.what}: {one.detail}") for one in found))
