<?php

// Reads events as they come, and after a break goes on behind the last one that was handled. PHP 8.0 or later.

declare(strict_types=1);

define('CURSOR_FILE', getenv('CURSOR_FILE') ?: 'cursor.txt');

// A stream shows every 15 seconds that it lives.
const SILENCE_S = 45;

// Here goes what you do with an event. One may come twice after a break: its id is the same then.
function handle(array $event): void
{
    echo json_encode($event, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
}

function saved(): string
{
    return is_file(CURSOR_FILE) ? trim(file_get_contents(CURSOR_FILE)) : 'now';
}

// In two steps, so that a crash leaves the old cursor or the new one.
function save(string $cursor): void
{
    file_put_contents(CURSOR_FILE . '.new', $cursor);
    rename(CURSOR_FILE . '.new', CURSOR_FILE);
}

function frame(array $fields): void
{
    if (isset($fields['data']) && !isset($fields['event'])) {
        handle(json_decode($fields['data'], true, 512, JSON_THROW_ON_ERROR));
    } elseif (isset($fields['data'])) {
        fwrite(STDERR, "$fields[event] $fields[data]\n"); // reset, busy, bye
    }
    // After it is handled, and not before: else a crash in between would lose it.
    if (isset($fields['id'])) {
        save($fields['id']);
    }
}

// How long to wait before it is read again, in milliseconds.
function read(int $retry): int
{
    $pair = base64_encode(getenv('CHATGATE_USER') . ':' . getenv('CHATGATE_PASSWORD'));
    $context = stream_context_create(['http' => [
        'header' => ["Authorization: Basic $pair", 'Accept: text/event-stream'],
        'timeout' => SILENCE_S,
        'ignore_errors' => true,
        // By 1.1 PHP waits for eight kilobytes before it gives a line.
        'protocol_version' => '1.0',
    ]]);
    $stream = @fopen(getenv('CHATGATE_URL') . '/api/events?cursor=' . saved(), 'r', false, $context);
    if ($stream === false) {
        return $retry;
    }
    $head = stream_get_meta_data($stream)['wrapper_data'];
    if (!str_contains($head[0], ' 200')) {
        fwrite(STDERR, stream_get_contents($stream) . "\n");
        // Refused for what the request is; anything else passes.
        $status = (int) substr($head[0], strlen('HTTP/1.1 '), 3);
        if ($status < 500 && $status !== 429) {
            exit(1);
        }
        return $retry;
    }
    $fields = [];
    while (($line = fgets($stream)) !== false) {
        $line = rtrim($line, "\n");
        if ($line !== '') {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $fields[$name] = preg_replace('/^ /', '', $value);
            continue;
        }
        $retry = (int) ($fields['retry'] ?? $retry);
        frame($fields);
        $fields = [];
    }
    return $retry;
}

for ($retry = 3000;;) {
    $retry = read($retry);
    usleep($retry * 1000);
}
