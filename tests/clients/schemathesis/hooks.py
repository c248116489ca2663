"""Values that schemathesis cannot know: our own formats, and the admin keys that the run itself needs."""

import ipaddress
import os
import unicodedata

import schemathesis
from hypothesis import strategies as st

# Characters that no text may contain, in addition to control characters.
NONCHARACTERS = "\ufffe\uffff"

# The keys with which the run authenticates.
IN_USE = {"first"}


# Maximum size of a text in bytes, by the name of its field; one name has one limit.
BYTES_MAX = {}


def collect(schema):
    """Reads the limits that JSON Schema cannot express."""
    if isinstance(schema, list):
        for part in schema:
            collect(part)
    elif isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            for choice in [field, *field.get("anyOf", [])]:
                if "x-bytes-max" in choice:
                    assert BYTES_MAX.setdefault(name, choice["x-bytes-max"]) == choice["x-bytes-max"], name
        for part in schema.values():
            collect(part)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    collect(raw_schema)


def is_clear(value, name=None):
    """Returns whether the schema judges the length correctly: not if the characters fit but their bytes do not."""
    if isinstance(value, dict):
        return all(is_clear(member, name) for name, member in value.items())
    if isinstance(value, list):
        return all(is_clear(member) for member in value)
    if not isinstance(value, str) or name not in BYTES_MAX:
        return True
    return not len(value) <= BYTES_MAX[name] < len(value.encode(errors="replace"))


@schemathesis.hook
def filter_body(context, body):
    return is_clear(body)


@schemathesis.hook
def filter_query(context, query):
    return is_clear(query)


@st.composite
def networks(draw, alone):
    address = draw(st.ip_addresses())
    prefix = draw(st.integers(1, address.max_prefixlen))
    network = ipaddress.ip_network((address, prefix), strict=False)
    # IPv4 addresses in IPv6 form have to be written as IPv4.
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
    "public-https-url",
    st.builds(
        "https://{}/{}".format,
        st.sampled_from(["hooks.invalid", "hooks.invalid:8443", "nowhere.example"]),
        st.text("abcxyz0189-_.~", max_size=40),
    ),
)
schemathesis.openapi.format(
    "argon2id",
    st.just("$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhvbWUhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
)


# The credentials of the calls, for parameters that hold credentials.
CREDENTIALS = {"user": os.environ["ACCESS_USER"], "password": os.environ["ACCESS_PASSWORD"]}


def could_be(name, value):
    if not isinstance(value, str) or not 1 <= len(value.encode(errors="replace")) <= BYTES_MAX[name]:
        return False
    return not any(unicodedata.category(c) in ("Cc", "Cs") or c in NONCHARACTERS for c in value)


@schemathesis.hook
def before_call(context, case, kwargs):
    if "admin-keys" in case.path and case.path_parameters.get("name") in IN_USE:
        case.path_parameters["name"] = "another"
    # Some calls have to succeed, so they use the sandbox's channel, which is as good as any other.
    for call in (case.body, case.query):
        if isinstance(call, dict) and call.get("platform") == "whatsapp" and could_be("platformid", call.get("platformid")):
            call["platformid"] = "100"
        # Valid waits are made short, because there is nothing to wait for.
        if isinstance(call, dict) and str(call.get("wait")) in map(str, range(26)):
            call["wait"] = type(call["wait"])(0)
    # Valid generated credentials are replaced with the right ones; invalid ones have to be refused.
    if case.path == "/api/http/" and isinstance(case.body, dict):
        if all(could_be(name, case.body.get(name)) for name in CREDENTIALS):
            case.body.update(CREDENTIALS)
