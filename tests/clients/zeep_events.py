"""Events with zeep, as SOAP 1.1 and 1.2."""

import os
import sys

import zeep

LOGIN = {"user": os.environ["CHATGATE_USER"], "password": os.environ["CHATGATE_PASSWORD"]}

client = zeep.Client(os.environ["CHATGATE_URL"] + "/api/soap/?wsdl")
for port in ("ChatSoap11", "ChatSoap12"):
    service = client.bind("ChatService", port)
    first = service.getevents(**LOGIN)
    if first.list is not None or len(first.cursor) != 13 or (first.more, first.reset) != ("0", "0"):
        sys.exit(f"error: {first}")
    page = service.getevents(**LOGIN, cursor="earliest", limit="1", wait="5")
    events = page.list.item
    if len(events) != 1 or not events[0].id.startswith("evt_") or events[0].platform != "whatsapp":
        sys.exit(f"error: {page}")
print("ok")
