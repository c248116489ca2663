<?php

// The whole API with PHP's curl and an array as POSTFIELDS, which makes every call multipart/form-data.

declare(strict_types=1);

const SALES = ['platform' => 'whatsapp', 'platformid' => '100'];
// A chat that every sandbox has from its start, with one unread message.
const SEEDED_CHAT = SALES + ['destination' => '34600000000'];
const TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀';
const CAPTION = "two\r\nlines; name=\"x\"";
const FIELDS = ['platformid', 'platform', 'message', 'destination', 'messageid', 'sent', 'status', 'datetime'];
const SENT = ['status' => 'SUCCESS', 'result' => [], 'delivery' => 'sent'];

function fail(string $what): never
{
    fwrite(STDERR, $what . "\n");
    exit(1);
}

function check(string $what, mixed $actual, mixed $expected): void
{
    if ($actual !== $expected) {
        fail("$what: " . json_encode($actual) . ' instead of ' . json_encode($expected));
    }
}

function call(string $method, array $parameters, ?string $password = null): array
{
    $fields = [
        'class' => 'chat',
        'method' => $method,
        'user' => getenv('CHATGATE_USER'),
        'password' => $password ?? getenv('CHATGATE_PASSWORD'),
    ];
    $curl = curl_init(getenv('CHATGATE_URL') . '/api/http/');
    curl_setopt($curl, CURLOPT_POST, true);
    curl_setopt($curl, CURLOPT_POSTFIELDS, $fields + $parameters);
    curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
    $body = curl_exec($curl);
    if ($body === false) {
        fail("$method: " . curl_error($curl));
    }
    return json_decode($body, true, 512, JSON_THROW_ON_ERROR);
}

function rows(string $method, array $parameters): array
{
    $answer = call($method, $parameters);
    check("$method status", $answer['status'], 'SUCCESS');
    return $answer['result']['list'];
}

set_exception_handler(fn (Throwable $e) => fail((string) $e));

$chat = SALES + ['destination' => getenv('CHATGATE_DESTINATION')];
$answer = call('sendmessage', $chat + ['message' => TEXT]);
check('sendmessage', $answer, SENT);
$file = ['type' => 'document', 'fileurl' => 'https://example.com/a.pdf?b=1&c=%20', 'thumburl' => ''];
$answer = call('sendfile', $chat + $file + ['message' => CAPTION]);
check('sendfile', $answer, SENT);
$messages = rows('getmessages', $chat);
check('getmessages', array_column($messages, 'message'), [TEXT, CAPTION]);
check('fields of getmessages', array_keys($messages[0]), FIELDS);
check('getunreadmessages', rows('getunreadmessages', $chat), []);
$unread = rows('getunreadmessages', SEEDED_CHAT);
check('unread of the seeded chat', array_column($unread, 'issent'), ['0']);
$latest = array_column(rows('getchats', SALES), 'message', 'destination');
check('getchats', $latest[$chat['destination']] ?? null, CAPTION);
$names = array_column(rows('getchatchannels', []), 'name', 'platformid');
check('getchatchannels', $names['100'] ?? null, 'Sales');

$answer = call('getchats', ['platform' => 'whatsapp', 'platformid' => '999']);
check('error', [$answer['status'], $answer['error']], ['ERROR', 'CHANNEL_NOT_FOUND']);
$answer = call('getchatchannels', [], 'wrong');
check('error', [$answer['status'], $answer['error']], ['ERROR', 'INCORRECT_USER_PASSWORD']);

echo "ok 6 operations, 1 error\n";
