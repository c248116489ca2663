<?php

// Calls {{ call.method }} of the chat API by {{ call.way }}. PHP 8; needs the extension {% if call.soap %}soap{% else %}curl{% endif %}, and {{ call.secret }} in the environment.

declare(strict_types=1);

function fail(string $why): never
{
    fwrite(STDERR, $why . "\n");
    exit(1);
}

$secret = (string) getenv('{{ call.secret }}');
if ($secret === '') {
    fail('{{ call.secret }} is not set');
}
{%- if call.soap %}

ini_set('default_socket_timeout', '30');
$call = [
    'user' => {{ call.user }},
    'password' => $secret,
{%- for field in call.fields %}
    '{{ field.name }}' => {{ field.value }},
{%- endfor %}
{%- if call.send %}
    // Use one key per message: a retry with the same key never sends the message twice.
    'idempotency_key' => bin2hex(random_bytes(16)),
{%- endif %}
];
try {
    $client = new SoapClient({{ call.wsdl }}, ['connection_timeout' => 5]);
    $answer = $client->{{ call.method }}($call);
} catch (SoapFault $fault) {
    // The code is in the detail of the fault. A fault without a detail did not come from the gateway.
    fail($fault->detail->error->code ?? $fault->getMessage());
}
echo json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
{%- else %}

/** Posts a form and returns the parsed JSON of the response. */
function post(string $url, array $fields, array $headers = []): array
{
    $request = curl_init($url);
    curl_setopt_array($request, [
        CURLOPT_POSTFIELDS => http_build_query($fields, '', '&'),
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_CONNECTTIMEOUT => 5,
        CURLOPT_TIMEOUT => 30,
    ]);
    $body = curl_exec($request);
    if ($body === false) {
        fail('no answer: ' . curl_error($request));
    }
    $answer = json_decode($body, true);
    return is_array($answer) ? $answer : fail("not an answer of the chat API: $body");
}
{% if call.jwt %}
$token = post({{ call.token_url }}, [
    'grant_type' => 'client_credentials',
    'client_id' => {{ call.client_id }},
    'client_secret' => $secret,
    'scope' => '{{ call.method }}',
]);
$headers = ['Authorization: Bearer ' . ($token['access_token'] ?? fail('no token: ' . ($token['error'] ?? '?')))];
{%- endif %}
{%- if call.basic %}
$headers = ['Authorization: Basic ' . base64_encode({{ call.user }} . ':' . $secret)];
{%- endif %}
{%- if call.http %}
$headers = [];
{%- endif %}

$answer = post({{ call.url }}, [
    'class' => 'chat',
    'method' => '{{ call.method }}',
{%- if call.http %}
    'user' => {{ call.user }},
    'password' => $secret,
{%- endif %}
{%- for field in call.fields %}
    '{{ field.name }}' => {{ field.value }},
{%- endfor %}
{%- if call.send %}
    // Use one key per message: a retry with the same key never sends the message twice.
    'idempotency_key' => bin2hex(random_bytes(16)),
{%- endif %}
], $headers);

// An error may have HTTP status 200, so check the status in the response.
if (($answer['status'] ?? '') !== 'SUCCESS') {
    fail($answer['error'] ?? 'not an answer of the chat API');
}
echo json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
{%- endif %}
