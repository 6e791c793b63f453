"""The data block of a notification, wherever it lies until it is put."""

from tests.service.driving import account, answers, services_in

from immpd.model.imid import parse_imid
from immpd.protocol.commands import Push, PushList
from immpd.service.mail.drafts import SESSION_MEMORY, drafts_of


async def test_a_body_comes_whole_where_a_session_has_much_in_memory(tmp_path):
    async with services_in(tmp_path) as services:
        alice = await account(services, "alice@demo.test")
        drafts_of(alice).memory = SESSION_MEMORY
        request = Push(to=(parse_imid("alice@demo.test"),), title="Hi", length=5)
        draft = alice.arrive(None, request)
        draft.whole(b"hello")
        reply, _ = await answers(alice, request, draft)
        assert reply.rows[0].outcome == "delivered"
        reply, _ = await answers(alice, PushList())
        (row,) = reply.rows
        assert row.body == "hello"
        assert drafts_of(alice).memory == SESSION_MEMORY
