"""The whole API on the JWT way in: tokens by form and by Basic, checked with PyJWT against the published keys."""

import base64
import json
import os
import sys
from urllib.error import HTTPError
from urllib.parse import quote_plus, urlencode
from urllib.request import Request, urlopen

import jwt

URL = os.environ["CHATGATE_URL"]
CLIENT_ID = os.environ["CHATGATE_CLIENT_ID"]
CLIENT_SECRET = os.environ["CHATGATE_CLIENT_SECRET"]
DESTINATION = os.environ["CHATGATE_DESTINATION"]

CHANNEL = {"platform": "whatsapp", "platformid": "100"}
# A chat that every sandbox has from its start, with one unread message.
SEEDED_CHAT = {**CHANNEL, "destination": "34600000000"}
TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀'
CAPTION = "two\nlines"
FILE = {"type": "image", "fileurl": "https://example.com/a.png", "thumburl": "https://example.com/b.png"}
FIELDS = ["datetime", "destination", "message", "messageid", "platform", "platformid", "sent", "status"]
SENT = {"status": "SUCCESS", "result": {}, "delivery": "sent"}


def check(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")


def token_by_form(endpoint):
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return token(Request(endpoint, urlencode(form).encode()))


def token_by_basic(endpoint):
    # RFC 6749 §2.3.1 requires both parts to be form-encoded before they are joined.
    pair = f"{quote_plus(CLIENT_ID)}:{quote_plus(CLIENT_SECRET)}"
    header = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return token(Request(endpoint, b"grant_type=client_credentials&scope=chat", header))


def token(request):
    with urlopen(request) as response:
        answer = json.load(response)
    check("token_type", answer["token_type"], "Bearer")
    return answer["access_token"]


def six_operations(bearer, destination):
    def call(method, **parameters):
        form = urlencode({"class": "chat", "method": method, **parameters}).encode()
        header = {"Authorization": f"Bearer {bearer}"}
        with urlopen(Request(URL + "/api/jwt/", form, header)) as response:
            return json.load(response)

    def rows(method, **parameters):
        return call(method, **parameters)["result"]["list"]

    chat = {**CHANNEL, "destination": destination}
    answer = call("sendmessage", **chat, message=TEXT)
    check("sendmessage", answer, SENT)
    answer = call("sendfile", **chat, **FILE, message=CAPTION)
    check("sendfile", answer, SENT)
    messages = rows("getmessages", **chat)
    check("getmessages", [row["message"] for row in messages], [TEXT, CAPTION])
    check("fields of getmessages", sorted(messages[0]), FIELDS)
    check("getunreadmessages", rows("getunreadmessages", **chat), [])
    unread = rows("getunreadmessages", **SEEDED_CHAT)
    check("unread of the seeded chat", [row["issent"] for row in unread], ["0"])
    chats = rows("getchats", **CHANNEL)
    mine = [row["message"] for row in chats if row["destination"] == destination]
    check("getchats", mine, [CAPTION])
    check("getchatchannels", {**CHANNEL, "name": "Sales"} in rows("getchatchannels"), True)
    check_error(lambda: call("getchats", platform="whatsapp", platformid="999"), 404, "CHANNEL_NOT_FOUND")


def check_error(call, status, code):
    """Checks that on this way in a code has its actual HTTP status, for which urllib raises an error."""
    try:
        answer = call()
    except HTTPError as error:
        check("error", (error.code, json.load(error)["error"]), (status, code))
    else:
        sys.exit(f"{answer!r} instead of an error")


with urlopen(URL + "/.well-known/oauth-authorization-server") as response:
    metadata = json.load(response)
check("issuer", metadata["issuer"], URL)
keys = jwt.PyJWKClient(metadata["jwks_uri"])
for get_token, suffix in [(token_by_form, "-form"), (token_by_basic, "-basic")]:
    bearer = get_token(metadata["token_endpoint"])
    check("typ", jwt.get_unverified_header(bearer)["typ"], "at+jwt")
    claims = jwt.decode(
        bearer,
        keys.get_signing_key_from_jwt(bearer),
        algorithms=["EdDSA", "RS256"],
        issuer=URL,
        audience=URL + "/api/jwt/",
        options={"require": ["iss", "aud", "sub", "client_id", "exp", "iat", "jti", "scope"]},
    )
    check("claims", (claims["client_id"], claims["scope"]), (CLIENT_ID, "chat"))
    six_operations(bearer, DESTINATION + suffix)
print("ok 6 operations, 1 error")
