"""Reads events as they come, and after a break goes on behind the last one that was handled. Python 3.9 or later."""

import base64
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ["CHATGATE_URL"] + "/api/events"
PAIR = os.environ["CHATGATE_USER"] + ":" + os.environ["CHATGATE_PASSWORD"]
AUTHORIZATION = "Basic " + base64.b64encode(PAIR.encode()).decode()
CURSOR_FILE = os.environ.get("CURSOR_FILE", "cursor.txt")

# A stream shows every 15 seconds that it lives.
SILENCE_S = 45
retry_s = 3.0


def handle(event):
    """Here goes what you do with an event. One may come twice after a break: its id is the same then."""
    print(json.dumps(event), flush=True)


def saved():
    try:
        with open(CURSOR_FILE, encoding="ascii") as file:
            return file.read().strip() or "now"
    except FileNotFoundError:
        return "now"


def save(cursor):
    """In two steps, so that a crash leaves the old cursor or the new one."""
    with open(CURSOR_FILE + ".new", "w", encoding="ascii") as file:
        file.write(cursor)
    os.replace(CURSOR_FILE + ".new", CURSOR_FILE)


def read():
    global retry_s
    headers = {"Authorization": AUTHORIZATION, "Accept": "text/event-stream"}
    request = urllib.request.Request(f"{URL}?cursor={saved()}", headers=headers)
    with urllib.request.urlopen(request, timeout=SILENCE_S) as answer:
        fields = {}
        for line in answer:
            line = line.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
                continue
            retry_s = int(fields.get("retry", retry_s * 1000)) / 1000
            if "data" in fields and "event" not in fields:
                handle(json.loads(fields["data"]))
            elif "data" in fields:
                print(fields["event"], fields["data"], file=sys.stderr)  # reset, busy, bye
            # After it is handled, and not before: else a crash in between would lose it.
            if "id" in fields:
                save(fields["id"])
            fields = {}


while True:
    try:
        read()
    except urllib.error.HTTPError as refused:
        # Refused for what the request is; anything else passes.
        if refused.code < 500 and refused.code != 429:
            sys.exit(refused.read().decode())
        print(refused, file=sys.stderr)
    except (OSError, http.client.HTTPException) as broken:
        print(repr(broken), file=sys.stderr)
    time.sleep(retry_s)
