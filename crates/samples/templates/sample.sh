#!/bin/sh
# {{ call.method }} of the chat API by {{ call.way }}. Needs curl 7.55 or newer, and {{ call.secret }} in the environment.
set -eu

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The secret goes by standard input: arguments can be seen by everybody on the machine.
secret=${ {{- call.secret -}} :?is not set}
{%- if call.jwt %}
token=$(printf %s "$secret" | curl -sS --connect-timeout 5 --max-time 30 {{ call.token_url }} \
    -d grant_type=client_credentials \
    --data-urlencode client_id={{ call.client_id }} \
    --data-urlencode client_secret@- \
    -d scope={{ call.method }})
bearer=$(printf %s "$token" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
[ -n "$bearer" ] || fail "no token: $token"
{%- endif %}
{%- if call.basic %}
login=$(printf '%s:%s' {{ call.user }} "$secret" | base64 | tr -d '\n')
{%- endif %}
{%- if call.send %}
# One key for one message: who asks again with the same key sends nothing twice.
key=$(date +%s)-$$
{%- endif %}
{%- if call.http %}
answer=$(printf %s "$secret" | curl -sS --connect-timeout 5 --max-time 30 {{ call.url }} \
    --data-urlencode user={{ call.user }} \
    --data-urlencode password@- \
{%- endif %}
{%- if call.basic %}
answer=$(printf 'Authorization: Basic %s\n' "$login" | curl -sS --connect-timeout 5 --max-time 30 {{ call.url }} \
    -H @- \
{%- endif %}
{%- if call.jwt %}
answer=$(printf 'Authorization: Bearer %s\n' "$bearer" | curl -sS --connect-timeout 5 --max-time 30 {{ call.url }} \
    -H @- \
{%- endif %}
{%- for field in call.fields %}
    --data-urlencode {{ field.name }}={{ field.value }} \
{%- endfor %}
{%- if call.send %}
    -d idempotency_key="$key" \
{%- endif %}
    -d class=chat \
    -d method={{ call.method }}) || fail "no answer"

# An error may come with HTTP status 200, so that the answer's own status counts.
case $answer in
'{"status":"SUCCESS"'*) printf '%s\n' "$answer" ;;
*) fail "$answer" ;;
esac
