"""Reads a stream of events with sseclient-py over requests."""

import json
import os
import sys

import requests
import sseclient

URL = os.environ["CHATGATE_URL"] + "/api/events"
AUTH = (os.environ["CHATGATE_USER"], os.environ["CHATGATE_PASSWORD"])
NAME = "events_sseclient.py"

session = requests.Session()
session.trust_env = False
headers = {"Accept": "text/event-stream"}


def stream(**more):
    answer = session.get(URL, auth=AUTH, headers={**headers, **more}, params={"cursor": "now"}, stream=True, timeout=60)
    answer.raise_for_status()
    return sseclient.SSEClient(answer)


found = []
client = stream()
print("ready", flush=True)
for event in client.events():
    text = json.loads(event.data)["data"].get("message") if event.event == "message" else None
    if text and NAME in text:
        found.append((event.id, text))
    if len(found) == 3:
        break
client.close()
# Chats arrive in any order.
if sorted(text for _, text in found) != [f"To {NAME} {number} ü 😀" for number in range(3)]:
    sys.exit(f"error: {found}")

again = []
client = stream(**{"Last-Event-ID": found[0][0]})
for event in client.events():
    again.append(event.id)
    if len(again) == 2:
        break
client.close()
if again != [id for id, _ in found[1:]]:
    sys.exit(f"error: {again} and not {found}")
print("ok", len(found), "events, and those behind the first once more", flush=True)
