"""Calls {{ call.method }} of the chat API by {{ call.way }}. Needs {{ call.secret }} in the environment{% if call.soap %}, and zeep (pip install zeep){% endif %}."""

{% if call.soap -%}
import os
import sys
{%- if call.send %}
import uuid
{%- endif %}

import zeep
{%- else -%}
{% if call.basic -%}
import base64
{% endif -%}
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
{%- if call.send %}
import uuid
{%- endif %}
{%- endif %}

secret = os.environ.get("{{ call.secret }}") or sys.exit("{{ call.secret }} is not set")

fields = {
{%- if !call.soap %}
    "class": "chat",
    "method": "{{ call.method }}",
{%- endif %}
{%- if call.http || call.soap %}
    "user": {{ call.user }},
    "password": secret,
{%- endif %}
{%- for field in call.fields %}
    "{{ field.name }}": {{ field.value }},
{%- endfor %}
{%- if call.send %}
    # Use one key per message: a retry with the same key never sends the message twice.
    "idempotency_key": str(uuid.uuid4()),
{%- endif %}
}
{%- if call.soap %}

transport = zeep.Transport(timeout=30, operation_timeout=30)
try:
    client = zeep.Client({{ call.wsdl }}, transport=transport)
    answer = client.service.{{ call.method }}(**fields)
except zeep.exceptions.Fault as fault:
    # The code is in the detail of the fault.
    code = fault.detail.findtext(".//{urn:chatgate:chat:v1}code") if fault.detail is not None else None
    sys.exit(code or fault.message)
print(answer)
{%- else %}


def post(url, fields, headers):
    """Posts a form and returns the parsed JSON of the response."""
    body = urllib.parse.urlencode(fields).encode()
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
    except urllib.error.HTTPError as refusal:
        # The body describes the error better than the status.
        text = refusal.read()
    except OSError as error:
        sys.exit(f"no answer: {error}")
    try:
        return json.loads(text)
    except ValueError:
        sys.exit(f"not an answer of the chat API: {text!r}")


headers = {}
{%- if call.jwt %}
login = {
    "grant_type": "client_credentials",
    "client_id": {{ call.client_id }},
    "client_secret": secret,
    "scope": "{{ call.method }}",
}
token = post({{ call.token_url }}, login, {})
if "access_token" not in token:
    sys.exit(f"no token: {token.get('error')}")
headers["Authorization"] = "Bearer " + token["access_token"]
{%- endif %}
{%- if call.basic %}
login = base64.b64encode(({{ call.user }} + ":" + secret).encode())
headers["Authorization"] = "Basic " + login.decode()
{%- endif %}
answer = post({{ call.url }}, fields, headers)
# An error may have HTTP status 200, so check the status in the response.
if answer.get("status") != "SUCCESS":
    sys.exit(answer.get("error", "not an answer of the chat API"))
print(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))
{%- endif %}
