<?php
// Receives the events that a webhook of Chatgate sends. PHP 8.0 or later, no library.
//
// WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:8443 receiver.php
// Put TLS in front: Chatgate sends by https.

/** The published library (composer require standard-webhooks/standard-webhooks) checks the same. */
function verified(string $secret, string $body): bool
{
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $key = base64_decode(substr($secret, strlen('whsec_')), true);
    $expected = base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", (string) $key, true));
    // There is one for each secret that is live.
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

$body = file_get_contents('php://input');
if (!verified(getenv('WEBHOOK_SECRET'), $body)) {
    http_response_code(400);
    return;
}
$event = json_decode($body, true);
// Keep the ids in a database: an event may come more than once, always under the same id.
$handled = sys_get_temp_dir() . '/chatgate-handled-' . $event['id'];
if (!file_exists($handled)) {
    handle($event); // what fails here is sent again, if the answer is no 2xx
    touch($handled);
}
http_response_code(204);
