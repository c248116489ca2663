<?php
// Receives the events that a webhook of Chatgate sends. PHP 8.0 or later, no library.
//
// WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:8443 receiver.php
// Put a TLS proxy in front, because Chatgate sends by https only.

// Maximum number of bytes that are read before the signature is verified. Bodies from Chatgate are shorter.
const BODY_MAX = 1 << 20;

/** Verifies the signature. The published library (composer require standard-webhooks/standard-webhooks) makes the same checks. */
function verified(string $key, string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $expected = base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // The header contains one signature for each valid secret.
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
        [$version, $value] = explode(',', $signature, 2) + ['', ''];
        if ($version === 'v1' && hash_equals($expected, $value)) {
            return true;
        }
    }
    return false;
}

function handle(array $event): void
{
    file_put_contents('php://stdout', "{$event['id']} {$event['type']} " . ($event['data']['message'] ?? '') . "\n");
}

$secret = (string) getenv('WEBHOOK_SECRET');
$key = base64_decode(substr($secret, strlen('whsec_')), true);
if (!str_starts_with($secret, 'whsec_') || !$key) {
    error_log('WEBHOOK_SECRET is not a secret'); // with an empty key anybody could sign
    http_response_code(500);
    return;
}
$body = file_get_contents('php://input', false, null, 0, BODY_MAX);
if (!verified($key, $body)) {
    http_response_code(400);
    return;
}
$event = json_decode($body, true);
// Store the ids in a database: an event may arrive more than once, always with the same id.
$handled = sys_get_temp_dir() . '/chatgate-handled-' . $event['id'];
if (!file_exists($handled)) {
    handle($event); // if this fails and the response is not a 2xx, Chatgate sends the event again
    touch($handled);
}
http_response_code(204);
