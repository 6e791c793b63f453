"""Where the tests of a file are: ``immpd/a/b.py`` is tested by ``tests/a/test_b.py``, or stands in this table.

What has no test of its own name is tried through something else, whole: the table says through what. A name that has
a test of its own leaves the table; a file that is in neither is not tested.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "src" / "immpd"

ELSEWHERE: dict[str, dict[str, str]] = {
    "app": {
        "clock process folder": "e2e/test_stop.py",
        "compose": "app/test_serving.py",
        "housekeeping": "server/test_disk.py",
    },
    "bus": {"listeners": "bus/test_local.py"},
    "cli/person": {
        "change draft groups login notifications password read save send senders settings tokens watch wire": (
            "cli/person/test_main.py"
        ),
        "push_route": "cli/person/test_push.py",
        "spool_send spool_tell": "cli/person/test_spool.py",
        "subscribe": "cli/person/test_publish.py",
    },
    "client": {
        "blocking_loop blocking_source": "client/test_blocking.py",
        "link pending": "client/test_caller.py",
        "notifying": "cli/person/test_push.py",
    },
    "commands": {"immp": "e2e/test_wheel.py", "immpd": "e2e/test_wheel.py"},
    "commands/operator": {
        "account backup common config fingerprint": "commands/operator/test_main.py",
        "sessions": "commands/operator/test_serve.py",
    },
    "model": {
        "change": "store/mail/test_changes.py",
        "errors": "client/test_errors.py",
        "filters flags message": "store/mail/test_messages.py",
        "news": "bus/test_local.py",
        "notification quiet": "store/push/test_notifications.py",
    },
    "protocol": {"errors events lines": "protocol/test_grammar.py", "capabilities": "sessions/test_sessions.py"},
    "protocol/commands": {
        "authentication delivery feeds mailboxes operator push session": "protocol/test_registry.py",
    },
    "protocol/replies": {"base feeds mail operator push session": "protocol/test_replies.py"},
    "server": {"settings": "app/test_configuration.py"},
    "service": {
        "about handlers ports": "sessions/test_sessions.py",
        "damage": "server/test_damage.py",
        "outcome": "server/test_job.py",
        "pacing": "service/test_floods.py",
        "principal": "service/test_access.py",
        "settings": "app/test_configuration.py",
    },
    "service/accounts": {
        "administration": "sessions/test_sessions.py",
        "open_sessions": "service/accounts/test_sessions.py",
    },
    "service/feeds": {
        "digests fanout": "service/feeds/test_watching.py",
        "mailing_lists nodes": "service/feeds/test_publishing.py",
    },
    "service/jobs": {"job": "service/jobs/test_registry.py"},
    "service/mail": {
        "content system_messages": "service/mail/test_delivery.py",
        "messages": "service/test_bulk.py",
        "rendering": "service/mail/test_fetching.py",
        "threads": "sessions/test_sessions.py",
    },
    "service/push": {"notifications timers": "service/push/test_consent.py"},
    "store": {
        "contract units": "store/sqlite/test_engine.py",
        "durable errors settings": "store/sqlite/test_room.py",
        "ids": "store/making.py",
    },
    "store/feeds": {
        "dismissals item_pages keeping": "store/feeds/test_histories.py",
        "list_delivery": "service/feeds/test_publishing.py",
        "members subscriptions": "store/feeds/test_nodes.py",
    },
    "store/integrity": {"verify_accounts verify_feeds": "store/integrity/test_verify.py"},
    "store/jobs": {"rounds": "store/jobs/test_leases.py"},
    "store/mail": {
        "damaged_rows": "store/integrity/test_verify.py",
        "folder_rows": "store/mail/test_mailboxes.py",
        "placing states": "store/mail/test_histories.py",
        "threads": "sessions/test_sessions.py",
    },
    "store/push": {"pushes schedule silence": "store/push/test_notifications.py"},
    "store/sqlite": {
        "files": "store/sqlite/test_migrations.py",
        "opening reads running shrinking thread tx waiting wal": "store/sqlite/test_engine.py",
    },
}


def own_test(source: str) -> bool:
    folder, _, name = source.rpartition("/")
    return (TESTS / folder / f"test_{name}.py").exists()


def test_every_file_has_a_test_that_is_found_by_its_name_or_in_the_table() -> None:
    sources = {
        str(path.relative_to(SOURCES).with_suffix(""))
        for path in SOURCES.rglob("*.py")
        if not path.name.startswith("__") and path.parent != SOURCES
    }
    elsewhere = {f"{folder}/{name}" for folder, rows in ELSEWHERE.items() for names in rows for name in names.split()}
    without = {source for source in sources if not own_test(source)}
    assert without - elsewhere == set(), "tests/… or the table"
    assert elsewhere - without == set(), "these have a test of their own name, or are gone"
    assert [there for rows in ELSEWHERE.values() for there in rows.values() if not (TESTS / there).exists()] == []
