"""Reads events as they happen. After an interruption it resumes after the last event that it handled. Python 3.9 or later."""

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

# The stream sends at least a heartbeat every 15 seconds.
SILENCE_S = 45
retry_s = 3.0


def handle(event):
    """Put your own code here. After an interruption an event may arrive twice, with the same id."""
    print(json.dumps(event), flush=True)


def saved():
    try:
        with open(CURSOR_FILE, encoding="ascii") as file:
            return file.read().strip() or "now"
    except FileNotFoundError:
        return "now"


def save(cursor):
    """Saves the cursor in two steps, so that a crash leaves either the old or the new cursor."""
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
            # Save the cursor only after the event is handled. Otherwise a crash in between would lose the event.
            if "id" in fields:
                save(fields["id"])
            fields = {}


while True:
    try:
        read()
    except urllib.error.HTTPError as refused:
        # The request itself is wrong, so a retry would fail too. All other errors are temporary.
        if refused.code < 500 and refused.code != 429:
            sys.exit(refused.read().decode())
        print(refused, file=sys.stderr)
    except (OSError, http.client.HTTPException) as broken:
        print(repr(broken), file=sys.stderr)
    time.sleep(retry_s)
