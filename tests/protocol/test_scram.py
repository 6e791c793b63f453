"""SCRAM against the RFC's vectors, against scramp on either side, and against hostile octets."""

import base64
import itertools
from collections.abc import Callable

import pytest
import scramp
from hypothesis import given, settings
from hypothesis import strategies as st

from immpd.protocol.scram import (
    BINDING_TYPE,
    MAX_MESSAGE,
    PLAIN,
    PLUS,
    ClientExchange,
    Reason,
    ScramError,
    ServerExchange,
    Verifier,
    choose_mechanism,
    decode_message,
    encode_message,
    new_nonce,
    unknown_verifier,
    verifier_from_h,
)
from immpd.protocol.scram_keys import client_proof, salted_password

H = bytes(range(32))
SALT = bytes(range(100, 116))
ROUNDS = 600_000
VERIFIER = verifier_from_h(H, SALT, ROUNDS)
BINDING = bytes(range(200, 232))
HEADER = {PLAIN: "n,,", PLUS: f"p={BINDING_TYPE},,"}


def fixed(nonce: str) -> Callable[[], str]:
    return lambda: nonce


def client(mechanism: str = PLUS, binding: bytes | None = BINDING, name: str = "alice@a.com") -> ClientExchange:
    return ClientExchange(name, mechanism, binding, fixed("clientnonce"))


def server(mechanism: str = PLUS, binding: bytes | None = BINDING) -> ServerExchange:
    return ServerExchange(mechanism, binding, fixed("servernonce"))


def reason_of(step: Callable[[], object]) -> Reason:
    with pytest.raises(ScramError) as caught:
        step()
    return caught.value.reason


# --- The RFC's example ---

RFC_CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
RFC_NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
RFC_SERVER_FIRST = f"r={RFC_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
RFC_PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
RFC_CLIENT_FINAL = f"c=biws,r={RFC_NONCE},p={RFC_PROOF}".encode()
RFC_SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
RFC_SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")


def test_the_server_speaks_the_example_of_rfc_7677() -> None:
    verifier = verifier_from_h(salted_password("pencil", RFC_SALT, 4096), RFC_SALT, 4096)
    exchange = ServerExchange(PLAIN, None, fixed(RFC_NONCE.removeprefix("rOprNGfwEbeRWgbNEkqO")))
    assert exchange.accept(RFC_CLIENT_FIRST) == "user"
    assert exchange.server_first(verifier) == RFC_SERVER_FIRST
    assert exchange.finish(RFC_CLIENT_FINAL) == RFC_SERVER_FINAL


def test_the_client_makes_the_proof_of_rfc_7677_but_refuses_its_4096_rounds() -> None:
    h = salted_password("pencil", RFC_SALT, 4096)
    auth_message = b",".join((RFC_CLIENT_FIRST[3:], RFC_SERVER_FIRST, b"c=biws,r=" + RFC_NONCE.encode()))
    assert base64.b64encode(client_proof(h, auth_message)).decode() == RFC_PROOF
    exchange = ClientExchange("user", PLAIN, None, fixed("rOprNGfwEbeRWgbNEkqO"))
    assert exchange.first() == RFC_CLIENT_FIRST
    with pytest.raises(ScramError, match="4,096 rounds"):
        exchange.challenge(RFC_SERVER_FIRST)


# --- Both of ours, and scramp ---


@pytest.mark.parametrize("name", ["alice@a.com", "alice@a.com/phone", "a=b,c=2C@d", "שלום@a.com", "x" * 1000])
@pytest.mark.parametrize(("mechanism", "binding"), [(PLUS, BINDING), (PLAIN, None)])
def test_both_sides_agree(mechanism: str, binding: bytes | None, name: str) -> None:
    alice, site = client(mechanism, binding, name), server(mechanism, binding)
    assert site.accept(alice.first()) == name
    challenge = alice.challenge(site.server_first(VERIFIER))
    assert (challenge.salt, challenge.iterations) == (SALT, ROUNDS)
    alice.verify(site.finish(alice.final(H)))


@pytest.mark.parametrize(("mechanism", "binding"), [(PLUS, BINDING), (PLAIN, None)])
def test_scramp_as_client(mechanism: str, binding: bytes | None) -> None:
    h = salted_password("pencil", SALT, 4096)
    peer = scramp.ScramClient(
        [mechanism], "a=b,c", "pencil", channel_binding=(BINDING_TYPE, binding) if binding else None
    )
    site = server(mechanism, binding)
    assert site.accept(peer.get_client_first().encode()) == "a=b,c"
    peer.set_server_first(site.server_first(verifier_from_h(h, SALT, 4096)).decode())
    peer.set_server_final(site.finish(peer.get_client_final().encode()).decode())


@pytest.mark.parametrize(("mechanism", "binding"), [(PLUS, BINDING), (PLAIN, None)])
def test_scramp_as_server(mechanism: str, binding: bytes | None) -> None:
    asked = []

    def verifier_of(name: str) -> tuple[bytes, bytes, bytes, int]:
        asked.append(name)
        return SALT, VERIFIER.stored_key, VERIFIER.server_key, ROUNDS

    peer = scramp.ScramMechanism(mechanism).make_server(
        verifier_of, channel_binding=(BINDING_TYPE, binding) if binding else None
    )
    alice = ClientExchange("a=b,c@d", mechanism, binding, new_nonce)
    peer.set_client_first(alice.first().decode())
    alice.challenge(peer.get_server_first().encode())
    peer.set_client_final(alice.final(H).decode())
    alice.verify(peer.get_server_final().encode())
    assert asked == ["a=b,c@d"]


def test_a_wrong_password_and_an_unknown_account_fail_alike() -> None:
    reasons = []
    for verifier, h in ((VERIFIER, bytes(32)), (unknown_verifier(SALT, ROUNDS, lambda n: b"\x07" * n), H)):
        alice, site = client(), server()
        site.accept(alice.first())
        alice.challenge(site.server_first(verifier))
        final = alice.final(h)
        with pytest.raises(ScramError) as caught:
            site.finish(final)
        reasons.append((caught.value.reason, str(caught.value)))
    assert reasons[0] == reasons[1]
    assert reasons[0][0] is Reason.INVALID_PROOF


def test_the_client_finds_a_server_that_does_not_know_the_password() -> None:
    alice, site = client(), server()
    site.accept(alice.first())
    impostor = Verifier(SALT, ROUNDS, VERIFIER.stored_key, bytes(32))
    alice.challenge(site.server_first(impostor))
    final = site.finish(alice.final(H))
    assert reason_of(lambda: alice.verify(final)) is Reason.INVALID_PROOF


# --- Channel binding ---


def test_another_certificate_in_the_middle_is_found() -> None:
    alice, site = client(binding=bytes(32)), server()
    site.accept(alice.first())
    alice.challenge(site.server_first(VERIFIER))
    final = alice.final(H)
    assert reason_of(lambda: site.finish(final)) is Reason.CHANNEL_BINDINGS_DONT_MATCH


def test_a_changed_flag_is_found() -> None:
    alice, site = client(PLAIN, BINDING), server(PLAIN, BINDING)
    site.accept(alice.first().replace(b"y,,", b"n,,"))
    alice.challenge(site.server_first(VERIFIER))
    final = alice.final(H)
    assert reason_of(lambda: site.finish(final)) is Reason.CHANNEL_BINDINGS_DONT_MATCH


@pytest.mark.parametrize(
    ("mechanism", "binding", "flag", "reason"),
    [
        (PLAIN, BINDING, "y", Reason.SERVER_DOES_SUPPORT_CHANNEL_BINDING),
        (PLUS, BINDING, "y", Reason.SERVER_DOES_SUPPORT_CHANNEL_BINDING),
        (PLUS, BINDING, "n", Reason.CHANNEL_BINDINGS_DONT_MATCH),
        (PLUS, BINDING, "p=tls-unique", Reason.UNSUPPORTED_CHANNEL_BINDING_TYPE),
        (PLUS, BINDING, "p=", Reason.UNSUPPORTED_CHANNEL_BINDING_TYPE),
        (PLAIN, BINDING, "p=tls-server-end-point", Reason.CHANNEL_BINDING_NOT_SUPPORTED),
        (PLAIN, None, "p=tls-server-end-point", Reason.CHANNEL_BINDING_NOT_SUPPORTED),
        (PLAIN, None, "N", Reason.OTHER_ERROR),
        (PLAIN, None, "", Reason.OTHER_ERROR),
    ],
)
def test_flags_that_do_not_fit(mechanism: str, binding: bytes | None, flag: str, reason: Reason) -> None:
    assert reason_of(lambda: server(mechanism, binding).accept(f"{flag},,n=a,r=b".encode())) is reason


@pytest.mark.parametrize(
    ("mechanism", "server_binding", "flag"), [(PLAIN, None, "y"), (PLAIN, None, "n"), (PLAIN, BINDING, "n")]
)
def test_flags_that_fit(mechanism: str, server_binding: bytes | None, flag: str) -> None:
    assert server(mechanism, server_binding).accept(f"{flag},,n=a,r=b".encode()) == "a"


@pytest.mark.parametrize(
    ("mechanism", "binding", "flag"),
    [(PLUS, BINDING, b"p=tls-server-end-point,,"), (PLAIN, BINDING, b"y,,"), (PLAIN, None, b"n,,")],
)
def test_the_client_says_what_it_could_do(mechanism: str, binding: bytes | None, flag: bytes) -> None:
    assert client(mechanism, binding).first().startswith(flag + b"n=")


def test_the_strongest_mechanism_is_chosen() -> None:
    assert choose_mechanism([PLAIN, PLUS, "SECRET"], BINDING) == PLUS
    assert choose_mechanism([PLAIN, PLUS], None) == PLAIN
    assert choose_mechanism([PLAIN], BINDING) == PLAIN
    assert reason_of(lambda: choose_mechanism(["SECRET", PLUS], None)) is Reason.OTHER_ERROR


@pytest.mark.parametrize("side", [client, server])
def test_plus_without_a_binding_is_impossible(side: Callable[[str, bytes | None], object]) -> None:
    assert reason_of(lambda: side(PLUS, None)) is Reason.CHANNEL_BINDING_NOT_SUPPORTED
    assert isinstance(reason_of(lambda: side("SCRAM-SHA-1", None)), Reason)


# --- Messages ---


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", Reason.OTHER_ERROR),
        (b"n,", Reason.OTHER_ERROR),
        (b"n,,n=a", Reason.OTHER_ERROR),
        (b"n,,r=b,n=a", Reason.OTHER_ERROR),
        (b"n,,n=a,r=", Reason.OTHER_ERROR),
        (b"n,,n=a,r=b c", Reason.OTHER_ERROR),
        (b"n,,n=a,r=" + b"x" * 257, Reason.OTHER_ERROR),
        (b"n,,n=a,r=b,", Reason.OTHER_ERROR),
        (b"n,,n=a,r=b,x=", Reason.OTHER_ERROR),
        (b"n,,n=a,r=b,r=c", Reason.OTHER_ERROR),
        (b"n,,n=a,r=b,m=c", Reason.EXTENSIONS_NOT_SUPPORTED),
        (b"n,,m=x,n=a,r=b", Reason.EXTENSIONS_NOT_SUPPORTED),
        (b"n,,n=,r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=a=b,r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=a=2c,r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=a=,r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=a\x00,r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=a\n,r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=" + b"a" * 1025 + b",r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=\xff,r=b", Reason.INVALID_ENCODING),
        (b"n,a=bob,n=alice,r=b", Reason.OTHER_ERROR),
        (b"n,alice,n=alice,r=b", Reason.OTHER_ERROR),
        (b"n,a=,n=alice,r=b", Reason.INVALID_USERNAME_ENCODING),
        (b"n,,n=a,r=b,x=" + b"y" * MAX_MESSAGE, Reason.OTHER_ERROR),
    ],
)
def test_bad_first_messages_of_a_client(message: bytes, reason: Reason) -> None:
    assert reason_of(lambda: server(PLAIN, None).accept(message)) is reason


def test_an_authzid_may_name_oneself_and_unknown_extensions_are_ignored_but_signed() -> None:
    site = server(PLAIN, None)
    assert site.accept(b"n,a=a=2Cb,n=a=2Cb,r=b,x=1=2,y=z") == "a,b"
    first = site.server_first(VERIFIER)
    bound = base64.b64encode(b"n,a=a=2Cb,").decode()
    without_proof = f"c={bound},r=bservernonce,q=1".encode()
    proof = client_proof(H, b",".join((b"n=a=2Cb,r=b,x=1=2,y=z", first, without_proof)))
    assert site.finish(without_proof + b",p=" + base64.b64encode(proof)).startswith(b"v=")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", Reason.OTHER_ERROR),
        ("c=biws", Reason.OTHER_ERROR),
        ("c=biws,r=clientnonceservernonce", Reason.OTHER_ERROR),
        ("m=x,c=biws,r=clientnonceservernonce,p={p}", Reason.EXTENSIONS_NOT_SUPPORTED),
        ("c=biws,r=clientnonceservernonce,m=x,p={p}", Reason.EXTENSIONS_NOT_SUPPORTED),
        ("c=biws,r=clientnonceservernoncf,p={p}", Reason.OTHER_ERROR),
        ("c=biws,r=ünonce,p={p}", Reason.OTHER_ERROR),
        ("c=eSws,r=clientnonceservernonce,p={p}", Reason.CHANNEL_BINDINGS_DONT_MATCH),
        ("c=biwt,r=clientnonceservernonce,p={p}", Reason.CHANNEL_BINDINGS_DONT_MATCH),
        ("c=,r=clientnonceservernonce,p={p}", Reason.INVALID_ENCODING),
        ("c=biws,r=clientnonceservernonce,p=ü", Reason.INVALID_ENCODING),
        ("c=biws,r=clientnonceservernonce,p=AAAA", Reason.OTHER_ERROR),
        ("c=biws,r=clientnonceservernonce,p={p},p={p}", Reason.OTHER_ERROR),
        ("c=biws,r=clientnonceservernonce,p={p},x=y", Reason.OTHER_ERROR),
        ("c=biws,r=clientnonceservernonce,p={p}", Reason.INVALID_PROOF),
    ],
)
def test_bad_final_messages_of_a_client(message: str, reason: Reason) -> None:
    site = server(PLAIN, None)
    site.accept(b"n,,n=alice,r=clientnonce")
    site.server_first(VERIFIER)
    zeros = base64.b64encode(bytes(32)).decode()
    assert reason_of(lambda: site.finish(message.replace("{p}", zeros).encode())) is reason
    assert reason_of(lambda: site.finish(b"")) is Reason.OTHER_ERROR


GOOD_SALT = base64.b64encode(SALT).decode()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "r=clientnonceX",
        f"r=clientnonce,s={GOOD_SALT},i=600000",
        f"r=other,s={GOOD_SALT},i=600000",
        f"s={GOOD_SALT},r=clientnonceX,i=600000",
        f"r=clientnonceX,s={GOOD_SALT},i=599999",
        f"r=clientnonceX,s={GOOD_SALT},i=10000001",
        f"r=clientnonceX,s={GOOD_SALT},i=0600000",
        f"r=clientnonceX,s={GOOD_SALT},i=+600000",
        f"r=clientnonceX,s={GOOD_SALT},i=600_000",
        f"r=clientnonceX,s={GOOD_SALT},i=٦٠٠٠٠٠",
        f"r=clientnonceX,s={GOOD_SALT},i=" + "9" * 1500,
        f"r=clientnonceX,s={base64.b64encode(bytes(15)).decode()},i=600000",
        f"r=clientnonceX,s={base64.b64encode(bytes(65)).decode()},i=600000",
        "r=clientnonceX,s=,i=600000",
        f"r=clientnonceX,s={GOOD_SALT[:-2]},i=600000",
        f"r=clientnonceX,s={GOOD_SALT},i=600000,m=x",
        f"m=x,r=clientnonceX,s={GOOD_SALT},i=600000",
        "e=no-resources",
        "e=invalid-proof",
    ],
)
def test_bad_challenges_are_refused(message: str) -> None:
    alice = client()
    alice.first()
    assert isinstance(reason_of(lambda: alice.challenge(message.encode())), Reason)
    assert reason_of(lambda: alice.final(H)) is Reason.OTHER_ERROR


@pytest.mark.parametrize("message", ["", "v=", "v=AAAA", "e=invalid-proof", "e=whatever", "m=x", f"v={GOOD_SALT},v=x"])
def test_bad_last_messages_of_a_server_are_refused(message: str) -> None:
    alice, site = client(), server()
    site.accept(alice.first())
    alice.challenge(site.server_first(VERIFIER))
    alice.final(H)
    assert isinstance(reason_of(lambda: alice.verify(message.encode())), Reason)


def test_steps_out_of_order_end_an_exchange() -> None:
    for order in itertools.permutations(("accept", "server_first", "finish"), 2):
        if order == ("accept", "server_first"):
            continue
        site = server(PLAIN, None)
        steps: dict[str, Callable[[], object]] = {
            "accept": lambda site=site: site.accept(b"n,,n=a,r=b"),
            "server_first": lambda site=site: site.server_first(VERIFIER),
            "finish": lambda site=site: site.finish(b""),
        }
        with pytest.raises(ScramError):
            [steps[step]() for step in order]
        assert reason_of(steps["accept"]) is Reason.OTHER_ERROR


def test_words_on_the_line() -> None:
    assert decode_message(encode_message(b"n,,n=a,r=b")) == b"n,,n=a,r=b"
    for word in ("", "=", "biw", "biws\n", "biws====", "biws" * 1000, "bi ws", "YR==", "ü", "\ud800"):
        assert reason_of(lambda word=word: decode_message(word)) is Reason.INVALID_ENCODING


def test_nonces_are_printable_and_new() -> None:
    first, second = new_nonce(), new_nonce()
    assert first != second
    assert len(first) == 32
    assert "," not in first


def test_the_client_checks_its_own_name_and_h() -> None:
    assert reason_of(lambda: client(name="")) is Reason.INVALID_USERNAME_ENCODING
    assert reason_of(lambda: client(name="\ud800")) is Reason.INVALID_USERNAME_ENCODING
    alice, site = client(), server()
    site.accept(alice.first())
    alice.challenge(site.server_first(VERIFIER))
    assert reason_of(lambda: alice.final(b"short")) is Reason.OTHER_ERROR


# --- Hostile octets ---

PIECES = st.sampled_from(
    [
        *("n", "y", "p=tls-server-end-point", "", "a=x", "n=a", "r=clientnonce", "r=clientnonceservernonce", "m=x"),
        *("x=y", f"s={GOOD_SALT}", "i=600000", "c=biws", f"p={'A' * 43}=", f"v={'A' * 43}=", "e=x", "=", "n==2C", "ü"),
    ]
)
HOSTILE = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=7).map(lambda parts: ",".join(parts).encode()))


@settings(max_examples=200)
@given(mechanism=st.sampled_from([PLAIN, PLUS]), first=HOSTILE, final=HOSTILE)
def test_a_server_never_raises_anything_else(mechanism: str, first: bytes, final: bytes) -> None:
    try:
        server(mechanism).accept(first)
    except ScramError:
        pass
    site = server(mechanism)
    site.accept(f"{HEADER[mechanism]}n=a,r=clientnonce".encode())
    site.server_first(VERIFIER)
    with pytest.raises(ScramError):
        site.finish(final)


@settings(max_examples=200)
@given(first=HOSTILE, final=HOSTILE)
def test_a_client_never_raises_anything_else(first: bytes, final: bytes) -> None:
    alice = client()
    alice.first()
    try:
        alice.challenge(first)
    except ScramError:
        pass
    alice, site = client(), server()
    site.accept(alice.first())
    alice.challenge(site.server_first(VERIFIER))
    alice.final(H)
    with pytest.raises(ScramError):
        alice.verify(final)


@given(word=st.text(max_size=60))
def test_words_never_raise_anything_else(word: str) -> None:
    try:
        assert encode_message(decode_message(word)) == word
    except ScramError:
        pass
