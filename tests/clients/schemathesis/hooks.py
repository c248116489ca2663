"""What schemathesis can't know: values of our formats, and which admin keys the run itself stands on."""

import ipaddress
import os
import unicodedata

import schemathesis
from hypothesis import strategies as st

# What no text may hold besides control characters; a message may hold line ends, which the pattern beside the format says.
NONCHARACTERS = "\ufffe\uffff"

# The keys that the run speaks with.
IN_USE = {"first"}


def bounded_text(bytes_max):
    # The first is a channel of the sandbox: calls shall also succeed.
    text = st.just("100") | st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=NONCHARACTERS), max_size=bytes_max)
    return text.filter(lambda value: len(value.encode()) <= bytes_max)


for bytes_max in (128, 256, 1024, 16384):
    schemathesis.openapi.format(f"utf8-{bytes_max}", bounded_text(bytes_max))


@st.composite
def networks(draw, alone):
    address = draw(st.ip_addresses())
    prefix = draw(st.integers(1, address.max_prefixlen))
    network = ipaddress.ip_network((address, prefix), strict=False)
    # IPv4 in the clothes of IPv6 is to be written as IPv4.
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        return "2001:db8::/32"
    return draw(st.sampled_from([str(network), str(address)])) if alone else str(network)


schemathesis.openapi.format("ip-network", networks(alone=True))
schemathesis.openapi.format("cidr", networks(alone=False))
schemathesis.openapi.format(
    "ip-address",
    st.ip_addresses().map(str) | st.ip_addresses(v=4).map("{}:4711".format) | st.ip_addresses(v=6).map("[{}]:1".format),
)
schemathesis.openapi.format(
    "public-http-url",
    st.builds(
        "{}://{}/{}".format,
        st.sampled_from(["http", "https"]),
        st.sampled_from(["example.com", "files.example.org:8443", "93.184.215.14"]),
        st.text("abcxyz0189-_.~", max_size=40),
    ),
)
schemathesis.openapi.format(
    "argon2id",
    st.just("$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhvbWUhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
)


# Who the calls are made by where the parameters say so.
CREDENTIALS = {"user": os.environ["ACCESS_USER"], "password": os.environ["ACCESS_PASSWORD"]}
CREDENTIAL_BYTES_MAX = {"user": 256, "password": 1024}


def could_be(name, value):
    if not isinstance(value, str) or not 1 <= len(value.encode(errors="replace")) <= CREDENTIAL_BYTES_MAX[name]:
        return False
    return not any(unicodedata.category(c) in ("Cc", "Cs") or c in NONCHARACTERS for c in value)


@schemathesis.hook
def before_call(context, case, kwargs):
    if "admin-keys" in case.path and case.path_parameters.get("name") in IN_USE:
        case.path_parameters["name"] = "another"
    # Made-up credentials that could be right are made right; those that are wrong in themselves are to be refused.
    if case.path == "/api/http/" and isinstance(case.body, dict):
        if all(could_be(name, case.body.get(name)) for name in CREDENTIALS):
            case.body.update(CREDENTIALS)
