#!/bin/sh
# Calls {{ call.method }} of the chat API by {{ call.way }}. Needs curl 7.55 or newer, and {{ call.secret }} in the environment.
set -eu

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Pass the secret by standard input, because everybody on the machine can see arguments.
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
# Use one key per message: a retry with the same key never sends the message twice.
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

# An error may have HTTP status 200, so check the status in the response.
case $answer in
'{"status":"SUCCESS"'*) printf '%s\n' "$answer" ;;
*) fail "$answer" ;;
esac
