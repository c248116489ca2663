"""The whole API with zeep from the WSDL, by both ports, and with every kind of credentials that SOAP supports."""

import os
import sys

import zeep
from requests import Session
from zeep.wsse.username import UsernameToken

WSDL = os.environ["CHATGATE_URL"] + "/api/soap/?wsdl"
USER = os.environ["CHATGATE_USER"]
PASSWORD = os.environ["CHATGATE_PASSWORD"]
DESTINATION = os.environ["CHATGATE_DESTINATION"]

LOGIN = {"user": USER, "password": PASSWORD}
CHANNEL = {"platform": "whatsapp", "platformid": "100"}
# A chat that every sandbox has from its start, with one unread message.
SEEDED_CHAT = {**CHANNEL, "destination": "34600000000"}
TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀'
CAPTION = "]]> and two\nlines"
CODE = "{urn:chatgate:chat:v1}code"


def check(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")


def rows(response):
    # zeep returns None for an element without children.
    return response.list.item if response.list else []


def fault_of(operation, **parameters):
    try:
        response = operation(**parameters)
    except zeep.exceptions.Fault as fault:
        return fault
    sys.exit(f"{response!r} instead of a fault")


def six_operations(port, destination):
    chat = {**CHANNEL, "destination": destination}
    response = port.sendmessage(**LOGIN, **chat, message=TEXT)
    check("sendmessage", (response.delivery, bool(response.request_id)), ("sent", True))
    file = {"type": "video", "fileurl": "https://example.com/a.mp4?b=1&c=2"}
    response = port.sendfile(**LOGIN, **chat, **file, message=CAPTION)
    check("sendfile", response.delivery, "sent")
    messages = rows(port.getmessages(**LOGIN, **chat))
    check("getmessages", [row.message for row in messages], [TEXT, CAPTION])
    check("fields of getmessages", (messages[0].sent, messages[0].destination), ("1", destination))
    check("getunreadmessages", rows(port.getunreadmessages(**LOGIN, **chat)), [])
    unread = rows(port.getunreadmessages(**LOGIN, **SEEDED_CHAT))
    check("unread of the seeded chat", [row.issent for row in unread], ["0"])
    chats = rows(port.getchats(**LOGIN, **CHANNEL))
    mine = [row.message for row in chats if row.destination == destination]
    check("getchats", mine, [CAPTION])
    channels = rows(port.getchatchannels(**LOGIN))
    sales = [row.name for row in channels if row.platformid == "100"]
    check("getchatchannels", sales, ["Sales"])


def check_fault(fault, role, code):
    check("fault code", fault.code.split(":")[-1], role)
    check("fault detail", fault.detail.findtext(".//" + CODE), code)


client = zeep.Client(WSDL)
port11 = client.bind("ChatService", "ChatSoap11")
port12 = client.bind("ChatService", "ChatSoap12")
six_operations(port11, DESTINATION + "-11")
six_operations(port12, DESTINATION + "-12")

for version, port in (("1.1", "ChatSoap11"), ("1.2", "ChatSoap12")):
    alone = zeep.Client(f"{WSDL}={version}")
    ports = [name for service in alone.wsdl.services.values() for name in service.ports]
    check(f"ports of {version}", ports, [port])
    check(f"by {version} alone", len(rows(alone.service.getchatchannels(**LOGIN))) > 0, True)

unknown = {**LOGIN, "platform": "whatsapp", "platformid": "999"}
check_fault(fault_of(port11.getchats, **unknown), "Client", "CHANNEL_NOT_FOUND")
fault = fault_of(port12.getchats, **unknown)
check_fault(fault, "Sender", "CHANNEL_NOT_FOUND")
check("subcodes", [name.localname for name in fault.subcodes], ["CHANNEL_NOT_FOUND"])
fault = fault_of(port11.getchatchannels, user=USER, password="wrong")
check_fault(fault, "Client", "INCORRECT_USER_PASSWORD")

by_token = zeep.Client(WSDL, wsse=UsernameToken(USER, PASSWORD)).service
check("with a UsernameToken", len(rows(by_token.getchatchannels())) > 0, True)
session = Session()
session.auth = (USER, PASSWORD)
by_header = zeep.Client(WSDL, transport=zeep.Transport(session=session)).service
check("with the Basic header", len(rows(by_header.getchatchannels())) > 0, True)
print("ok 6 operations, 1 error")
