"""Which values of header fields are credentials, and what is shown in their place."""

import hashlib
import re

import pytest

from echo.protocol.credentials import Redactor

KEY = b"a key of the test"
SECRET = "s3cr3t-\xe9-value"
REPLACED = re.compile(r"\(redacted: (\d+) bytes; hash ([0-9a-f]{8})\)")


def redact(*fields, key=KEY):
    return Redactor(fields, key).redact(fields)


def test_of_very_many_offers_only_the_first_are_shown():
    offers = [f"offer{number}" for number in range(300)]
    ((_, shown),) = redact(("Sec-WebSocket-Protocol", ", ".join(offers)))
    assert shown.split(", ") == offers[:200] + ["(not shown)"] * 100


def protocols(*values):
    """What is shown of the field that offers subprotocols."""
    return [value for _, value in redact(*(("Sec-WebSocket-Protocol", one) for one in values))]


#: Names of fields, as many kinds of software have them.
CREDENTIALS = [
    "Authorization",
    "Proxy-Authorization",
    "X-Authorization",
    "X-Forwarded-Authorization",
    "X-Serverless-Authorization",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Authentication",
    "Cookie",
    "Cookie2",
    "Set-Cookie",
    "X-Original-Cookie",
    "X-Api-Key",
    "Api-Key",
    "Apikey",
    "X-Goog-Api-Key",
    "Ocp-Apim-Subscription-Key",
    "X-Functions-Key",
    "X-API-KEYS",
    "X-MBX-APIKEY",
    "CB-ACCESS-KEY",
    "CB-ACCESS-SIGN",
    "OK-ACCESS-PASSPHRASE",
    "X_Api_Key",
    "X-Auth",
    "X-Auth-User",
    "X-Auth-Request-Access-Token",
    "X-Internal-Auth",
    "X-Basicauth",
    "X-Token",
    "PRIVATE-TOKEN",
    "X-CSRF-Token",
    "X-Amz-Security-Token",
    "X-Vault-Token",
    "X-Authtoken",
    "X-Forwarded-Access-Token",
    "X-Amzn-Oidc-Accesstoken",
    "X-Ms-Token-Aad-Id-Token",
    "X-Secret",
    "X-Client-Secret",
    "Cf-Access-Client-Secret",
    "X-Password",
    "X-Passwd",
    "X-Pwd",
    "X-Credentials",
    "X-Amzn-Oidc-Data",
    "Cf-Access-Jwt-Assertion",
    "X-Goog-Iap-Jwt-Assertion",
    "X-Authentik-Jwt",
    "X-Session",
    "X-Session-Id",
    "Sessionid",
    "X-Sid",
    "X-Otp",
    "Signature",
    "X-Hub-Signature-256",
    "X-Origin-Verify",
]

PLAIN = [
    "Host",
    "User-Agent",
    "Accept",
    "Accept-Language",
    "Origin",
    "Referer",
    "Upgrade",
    "Connection",
    "Keep-Alive",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Accept",
    "Sec-Fetch-User",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-User",
    "X-Real-Ip",
    "Via",
    "X-Request-Id",
    "X-Connection-Id",
    "Traceparent",
    "X-Amzn-Trace-Id",
    "X-Author",
    "X-Authority",
    "X-Goog-Authenticated-User-Email",
    "X-Bypass",
    "X-Keyboard",
    "X-Design",
    "X-Resident",
]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_field_of_such_a_name_is_redacted(name):
    for written in (name, name.lower(), name.upper()):
        ((shown_name, value),) = redact((written, SECRET))
        assert shown_name == written
        assert REPLACED.fullmatch(value)[1] == str(len(SECRET))


@pytest.mark.parametrize("name", PLAIN)
def test_a_field_of_another_name_stays_as_it_came(name):
    assert redact((name, SECRET)) == [(name, SECRET)]


def test_an_empty_value_stays_empty():
    assert redact(("Cookie", "")) == [("Cookie", "")]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Bearer abcdefgh", "Bearer "),
        ("basic dXNlcjpwYXNz", "basic "),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", ""),
        ("/page?jwt=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "/page?jwt="),
    ],
)
def test_a_credential_under_any_other_name_is_redacted(value, shown):
    ((_, redacted),) = redact(("X-Handed-On", value))
    assert redacted.startswith(f"{shown}(")
    assert REPLACED.fullmatch(redacted, len(shown))[1] == str(len(value) - len(shown))


@pytest.mark.parametrize("value", ["Basic plan", "Bearer of bad news", "monkeyJungle, heyJude1234"])
def test_a_value_that_only_resembles_one_stays_as_it_came(value):
    assert redact(("X-Handed-On", value)) == [("X-Handed-On", value)]


@pytest.mark.parametrize(
    ("shown", "token"),
    [
        ("base64url.bearer.authorization.k8s.io.", "bXl0b2tlbg"),
        ("v1.token.websocket.jupyter.org.", "mytoken"),
        ("openai-insecure-api-key.", "sk-proj-1"),
        ("bearer.", "hunter2"),
        ("Bearer-", "hunter2"),
        ("access_token.", "hunter2.token.x"),
        ("header-", "eyJob3N0IjoiZXhhbXBsZSJ9"),
        ("", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
        ("", "0123456789abcdef0123456789abcdef"),
        ("chat.", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    ],
)
@pytest.mark.parametrize("around", ["{}", "chat, {}", "{},v2.chat", "a , {} , b"])
def test_a_token_in_a_subprotocol_is_redacted(shown, token, around):
    before, after = around.split("{}")
    (value,) = protocols(around.format(shown + token))
    assert value.startswith(before + shown + "(")
    assert value.endswith(")" + after)
    middle = value[len(before + shown) : len(value) - len(after)]
    assert REPLACED.fullmatch(middle)[1] == str(len(token))


@pytest.mark.parametrize("announcement", ["bearer", "token", "access_token", "X-Api-Key", "jwt"])
def test_a_subprotocol_behind_one_that_announces_a_token_is_redacted(announcement):
    (value,) = protocols(f"{announcement}, hunter2, chat")
    assert re.sub(REPLACED, "*", value) == f"{announcement}, *, chat"
    first, second = protocols(announcement, "hunter2")
    assert first == announcement
    assert REPLACED.fullmatch(second)


SUBPROTOCOLS = [
    "chat, v2.bookings, graphql-transport-ws",
    "wamp.2.msgpack.batched,v12.stomp , mqtt",
    "v4.channel.k8s.io, base64.channel.k8s.io, v5.channel.k8s.io",
    "v1.kernel.websocket.jupyter.org, v1.token.websocket.jupyter.org",
    "ocpp2.0.1, soap, xmpp, sip, vnd.netconf.example, io.opentracing.collector.v1",
    "a-subprotocol-with-a-name-of-many-words",
]


@pytest.mark.parametrize("value", SUBPROTOCOLS)
def test_names_of_subprotocols_stay_as_they_came(value):
    assert protocols(value) == [value]


def test_the_response_has_the_same_in_the_place_of_a_subprotocol():
    offered = ("Sec-WebSocket-Protocol", "token, hunter2")
    redactor = Redactor([offered], KEY)
    ((_, shown),) = redactor.redact([("sec-websocket-protocol", "hunter2")])
    assert redactor.redact([offered]) == [("Sec-WebSocket-Protocol", f"token, {shown}")]


def test_equal_values_of_a_field_have_equal_hashes():
    (_, one), (_, same), (_, other) = redact(
        ("Cookie", "a=1"), ("cookie", "a=1"), ("Cookie", "a=2")
    )
    assert one == same != other


def test_a_guess_in_another_field_does_not_show():
    (_, one), (_, guess) = redact(("X-Internal-Auth", "1234"), ("X-Token", "1234"))
    assert one != guess


def test_a_hash_says_nothing_without_its_key():
    (_, shown), (_, other) = redact(("Cookie", "a=1")) + redact(("Cookie", "a=1"), key=b"other")
    assert shown != other
    digest = REPLACED.fullmatch(shown)[2]
    for algorithm in ("md5", "sha1", "sha256", "blake2b"):
        for text in (b"a=1", b"cookie:a=1", b"Cookie: a=1"):
            assert digest not in hashlib.new(algorithm, text).hexdigest()


@pytest.mark.parametrize("piece", ["eyJ", "a.", "token", "bearer.", "1a", "Bearer ", "eyJ0123456,"])
def test_a_long_value_takes_no_long_time(piece):
    """A pattern that went back over it again and again would take minutes."""
    for name in ("X-Handed-On", "Sec-WebSocket-Protocol"):
        redact((name, piece * (32 * 1024 // len(piece))))
