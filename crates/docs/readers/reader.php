<?php

// Reads events as they happen. After an interruption it resumes after the last event that it handled. PHP 8.0 or later.

declare(strict_types=1);

define('CURSOR_FILE', getenv('CURSOR_FILE') ?: 'cursor.txt');

// The stream sends at least a heartbeat every 15 seconds.
const SILENCE_S = 45;

// Put your own code here. After an interruption an event may arrive twice, with the same id.
function handle(array $event): void
{
    echo json_encode($event, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
}

function saved(): string
{
    return is_file(CURSOR_FILE) ? trim(file_get_contents(CURSOR_FILE)) : 'now';
}

// Saves the cursor in two steps, so that a crash leaves either the old or the new cursor.
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
    // Save the cursor only after the event is handled. Otherwise a crash in between would lose the event.
    if (isset($fields['id'])) {
        save($fields['id']);
    }
}

// Returns the time to wait before the next read, in milliseconds.
function read(int $retry): int
{
    $pair = base64_encode(getenv('CHATGATE_USER') . ':' . getenv('CHATGATE_PASSWORD'));
    $context = stream_context_create(['http' => [
        'header' => ["Authorization: Basic $pair", 'Accept: text/event-stream'],
        'timeout' => SILENCE_S,
        'ignore_errors' => true,
        // With HTTP/1.1, PHP waits for eight kilobytes before it returns a line.
        'protocol_version' => '1.0',
    ]]);
    $stream = @fopen(getenv('CHATGATE_URL') . '/api/events?cursor=' . saved(), 'r', false, $context);
    if ($stream === false) {
        return $retry;
    }
    $head = stream_get_meta_data($stream)['wrapper_data'];
    if (!str_contains($head[0], ' 200')) {
        fwrite(STDERR, stream_get_contents($stream) . "\n");
        // The request itself is wrong, so a retry would fail too. All other errors are temporary.
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
