"""Receives the events that a webhook of Chatgate sends: pip install standardwebhooks

WEBHOOK_SECRET=whsec_… PORT=8443 python3 receiver.py
"""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

# Maximum number of bytes that are read before the signature is verified. Bodies from Chatgate are shorter.
BODY_MAX = 1 << 20
webhook = Webhook(os.environ["WEBHOOK_SECRET"])
handled = set()  # store the ids in a database: an event may arrive more than once, always with the same id


def handle(event):
    print(event["id"], event["type"], event["data"].get("message", ""), flush=True)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("content-length", 0)), BODY_MAX))
        try:
            # Verifies the signature over the received bytes, and that they are not older than five minutes.
            webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            return self.answer(400)
        event = json.loads(body)
        if event["id"] not in handled:
            handle(event)  # if this fails and the response is not a 2xx, Chatgate sends the event again
            handled.add(event["id"])
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


# Put a TLS proxy in front, or give the server a certificate, because Chatgate sends by https only.
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8443"))), Receiver)
print("listening", server.server_port, flush=True)
server.serve_forever()
