"""Reads a stream of events with httpx-sse."""

import json
import os
import sys

import httpx
from httpx_sse import connect_sse

URL = os.environ["CHATGATE_URL"] + "/api/events"
AUTH = (os.environ["CHATGATE_USER"], os.environ["CHATGATE_PASSWORD"])
NAME = "events_httpx_sse.py"

found = []
with httpx.Client(auth=AUTH, timeout=60, trust_env=False) as client:
    with connect_sse(client, "GET", URL, params={"cursor": "now"}) as source:
        print("ready", flush=True)
        for event in source.iter_sse():
            # This library reports a comment as an event without data.
            is_event = event.event == "message" and event.data
            text = json.loads(event.data)["data"].get("message") if is_event else None
            if text and NAME in text:
                found.append((event.id, text))
            if len(found) == 3:
                break

# Chats arrive in any order.
if sorted(text for _, text in found) != [f"To {NAME} {number} ü 😀" for number in range(3)]:
    sys.exit(f"error: {found}")

# It reconnects after the first event, and receives the others.
again = []
with httpx.Client(auth=AUTH, timeout=60, trust_env=False) as client:
    with connect_sse(client, "GET", URL, headers={"Last-Event-ID": found[0][0]}) as source:
        for event in source.iter_sse():
            if event.data:
                again.append(event.id)
            if len(again) == 2:
                break
if again != [id for id, _ in found[1:]]:
    sys.exit(f"error: {again} and not {found}")
print("ok", len(found), "events, and those behind the first once more", flush=True)
