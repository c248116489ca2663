"""The whole API over a bare socket and HTTP/1.0: no Host, no Accept, raw UTF-8 in the query, reading to end of file.

Old devices and hand-written clients know neither chunks nor keep-alive, and read one line of the body.
"""

import json
import os
import re
import socket
import sys
from urllib.parse import urlsplit

ADDRESS = urlsplit(os.environ["CHATGATE_URL"])
USER = os.environ["CHATGATE_USER"]
PASSWORD = os.environ["CHATGATE_PASSWORD"]
DESTINATION = os.environ["CHATGATE_DESTINATION"]

CHANNEL = {"platform": "whatsapp", "platformid": "100"}
CHAT = {**CHANNEL, "destination": DESTINATION}
# A chat that every sandbox has from its start, with one unread message.
SEEDED_CHAT = {**CHANNEL, "destination": "34600000000"}
TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀'
CAPTION = "{plain} |words| [here] ^`\\"
FIELDS = ["datetime", "destination", "message", "messageid", "platform", "platformid", "sent", "status"]
SENT = {"status": "SUCCESS", "result": {}, "delivery": "sent"}


def check(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")


def written(value):
    """Returns the value as it is, except for characters that would end it and three that an HTTP server may refuse."""
    return re.sub(r"""[\s%&+#"<>]""", lambda match: f"%{ord(match[0]):02X}", value)


def exchange(request):
    with socket.create_connection((ADDRESS.hostname, ADDRESS.port or 80)) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    return answer


def call(method, *, password=PASSWORD, **parameters):
    named = {"class": "chat", "method": method, "user": USER, "password": password, **parameters}
    query = "&".join(f"{name}={written(value)}" for name, value in named.items())
    answer = exchange(f"GET /api/http/?{query} HTTP/1.0\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    check(f"status of {method}", status.split(" ")[1:], ["200", "OK"])
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    check(f"Content-Length of {method}", headers.get("content-length"), str(len(body)))
    check(f"Transfer-Encoding of {method}", headers.get("transfer-encoding"), None)
    return json.loads(body.split(b"\n")[0])


def rows(method, **parameters):
    answer = call(method, **parameters)
    check(f"{method} status", answer["status"], "SUCCESS")
    return answer["result"]["list"]


answer = call("sendmessage", **CHAT, message=TEXT)
check("sendmessage", answer, SENT)
answer = call("sendfile", **CHAT, type="image", fileurl="https://example.com/a.png", thumburl="", message=CAPTION)
check("sendfile", answer, SENT)
messages = rows("getmessages", **CHAT)
check("getmessages", [row["message"] for row in messages], [TEXT, CAPTION])
check("fields of getmessages", sorted(messages[0]), FIELDS)
check("getunreadmessages", rows("getunreadmessages", **CHAT), [])
unread = rows("getunreadmessages", **SEEDED_CHAT)
check("unread of the seeded chat", [row["issent"] for row in unread], ["0"])
mine = [row["message"] for row in rows("getchats", **CHANNEL) if row["destination"] == DESTINATION]
check("getchats", mine, [CAPTION])
check("getchatchannels", {**CHANNEL, "name": "Sales"} in rows("getchatchannels"), True)

answer = call("getchats", platform="whatsapp", platformid="999")
check("error", (answer["status"], answer["error"]), ("ERROR", "CHANNEL_NOT_FOUND"))
answer = call("getchatchannels", password="wrong")
check("error", (answer["status"], answer["error"]), ("ERROR", "INCORRECT_USER_PASSWORD"))
print("ok 6 operations, 1 error")
