"""The whole API with urllib alone, once by GET and once by POST, as small Python scripts call it."""

import json
import os
import sys
from urllib.parse import quote, urlencode
from urllib.request import urlopen

ENDPOINT = os.environ["CHATGATE_URL"] + "/api/http/"
USER = os.environ["CHATGATE_USER"]
PASSWORD = os.environ["CHATGATE_PASSWORD"]
DESTINATION = os.environ["CHATGATE_DESTINATION"]

CHANNEL = {"platform": "whatsapp", "platformid": "100"}
# A chat that every sandbox has from its start, with one unread message.
SEEDED_CHAT = {**CHANNEL, "destination": "34600000000"}
TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀'
CAPTION = "two\nlines = ?#;"
FILE = {"type": "image", "fileurl": "https://example.com/a.png?b=1", "thumburl": ""}
FIELDS = ["datetime", "destination", "message", "messageid", "platform", "platformid", "sent", "status"]
SENT = {"status": "SUCCESS", "result": {}, "delivery": "sent"}


def check(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")


def by_get(parameters):
    # Many scripts concatenate their query, so only characters that urllib itself rejects, and separators of the query, are encoded.
    query = "&".join(f"{name}={quote(value, safe=':/?=;,')}" for name, value in parameters.items())
    return urlopen(f"{ENDPOINT}?{query}")


def by_post(parameters):
    return urlopen(ENDPOINT, urlencode(parameters).encode())


def call(send, method, *, password=PASSWORD, **parameters):
    named = {"class": "chat", "method": method, "user": USER, "password": password}
    with send({**named, **parameters}) as response:
        return json.load(response)


def six_operations(send, destination):
    def rows(method, **parameters):
        answer = call(send, method, **parameters)
        check(f"{method} status", answer["status"], "SUCCESS")
        return answer["result"]["list"]

    chat = {**CHANNEL, "destination": destination}
    answer = call(send, "sendmessage", **chat, message=TEXT)
    check("sendmessage", answer, SENT)
    answer = call(send, "sendfile", **chat, **FILE, message=CAPTION)
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
    channels = rows("getchatchannels")
    check("getchatchannels", {**CHANNEL, "name": "Sales"} in channels, True)

    # Such errors come with status 200; with another status, urlopen would raise before the body is read.
    answer = call(send, "getchats", platform="whatsapp", platformid="999")
    check("error", (answer["status"], answer["error"]), ("ERROR", "CHANNEL_NOT_FOUND"))


six_operations(by_get, DESTINATION + "-get")
six_operations(by_post, DESTINATION + "-post")
answer = call(by_post, "getchatchannels", password="wrong")
check("error", (answer["status"], answer["error"]), ("ERROR", "INCORRECT_USER_PASSWORD"))
print("ok 6 operations, 1 error")
