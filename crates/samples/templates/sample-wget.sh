#!/bin/sh
# Calls {{ call.method }} of the chat API by {{ call.way }}. Needs wget 1.15 or newer, and {{ call.secret }} in the environment.
set -eu

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# wget does not encode values, so this encodes every byte as its number.
encoded() {
    printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g'
}

# Sends standard input by files that nobody else can read, because everybody on the machine can see arguments.
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
: >"$folder/headers"
post() {
    cat >"$folder/form"
    wget -q -O - --content-on-error --tries=1 --connect-timeout=5 --timeout=30 --max-redirect=0 \
        --config="$folder/headers" --post-file="$folder/form" "$1" ||
        case $? in 6) echo "HTTP status 401: wrong credentials (wget does not show the response)" ;; esac
}

secret=${ {{- call.secret -}} :?is not set}
{%- if call.jwt %}
token=$(printf 'grant_type=client_credentials&client_id=%s&client_secret=%s&scope={{ call.method }}' \
    "$(encoded {{ call.client_id }})" "$(encoded "$secret")" | post {{ call.token_url }})
bearer=$(printf %s "$token" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
[ -n "$bearer" ] || fail "no token: $token"
printf 'header = Authorization: Bearer %s\n' "$bearer" >"$folder/headers"
{%- endif %}
{%- if call.basic %}
login=$(printf '%s:%s' {{ call.user }} "$secret" | base64 | tr -d '\n')
printf 'header = Authorization: Basic %s\n' "$login" >"$folder/headers"
{%- endif %}
answer=$(
    {
        printf 'class=chat&method={{ call.method }}'
{%- if call.http %}
        printf '&user=%s' "$(encoded {{ call.user }})"
        printf '&password=%s' "$(encoded "$secret")"
{%- endif %}
{%- for field in call.fields %}
        printf '&{{ field.name }}=%s' "$(encoded {{ field.value }})"
{%- endfor %}
{%- if call.send %}
        # Use one key per message: a retry with the same key never sends the message twice.
        printf '&idempotency_key=%s-%s' "$(date +%s)" "$$"
{%- endif %}
    } | post {{ call.url }}
)

# An error may have HTTP status 200, so check the status in the response.
case $answer in
'{"status":"SUCCESS"'*) printf '%s\n' "$answer" ;;
*) fail "${answer:-no answer; without -q, wget says why}" ;;
esac
