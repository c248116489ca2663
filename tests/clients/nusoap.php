<?php

// The whole API with nusoap from each WSDL that has a port of SOAP 1.1, and without one. It writes its envelopes in
// ISO-8859-1 and gives back what it reads in ISO-8859-1, as it does by default.

declare(strict_types=1);

// What its code does is deprecated in the PHP of today.
error_reporting(E_ALL & ~E_DEPRECATED);
require_once 'nusoap/nusoap.php';

const SALES = ['platform' => 'whatsapp', 'platformid' => '100'];
// A chat that every sandbox has from its start, with one unread message.
const SEEDED_CHAT = SALES + ['destination' => '34600000000'];
// ISO-8859-1: Olá, señor, ÿ, a no-break space and the sign of a half.
const TEXT = "Ol\xe1, se\xf1or & <b>\"\xff\"</b> \xa0\xbd 100%";
const CAPTION = "]]> and\ntwo \xfcs";

function fail(string $what): never
{
    fwrite(STDERR, $what . "\n");
    exit(1);
}

function check(string $what, mixed $actual, mixed $expected): void
{
    if ($actual !== $expected) {
        fail("$what: " . var_export($actual, true) . ' instead of ' . var_export($expected, true));
    }
}

function call(nusoap_client $client, string $method, array $parameters): array
{
    $parameters += ['user' => getenv('CHATGATE_USER'), 'password' => getenv('CHATGATE_PASSWORD')];
    $answer = $client->endpointType === 'wsdl'
        ? $client->call($method, ['parameters' => $parameters])
        : $client->call($method, $parameters, 'urn:chatgate:chat:v1', "urn:chatgate:chat:v1#$method");
    if ($client->getError() && !$client->fault) {
        fail("$method: " . $client->getError());
    }
    return $answer;
}

// One item stands alone, more are a list.
function rows(array $answer): array
{
    $items = is_array($answer['list'] ?? null) ? $answer['list']['item'] ?? [] : [];
    return array_is_list($items) ? $items : [$items];
}

function six_operations(nusoap_client $client, string $destination): void
{
    $chat = SALES + ['destination' => $destination];
    check('sendmessage', call($client, 'sendmessage', $chat + ['message' => TEXT])['delivery'], 'sent');
    check('its charset', str_contains($client->request, 'charset=ISO-8859-1'), true);
    $file = ['type' => 'voice', 'fileurl' => 'https://example.com/a.ogg?b=1&c=2', 'message' => CAPTION];
    check('sendfile', call($client, 'sendfile', $chat + $file)['delivery'], 'sent');
    $messages = rows(call($client, 'getmessages', $chat));
    check('getmessages', array_column($messages, 'message'), [TEXT, CAPTION]);
    check('fields of getmessages', [$messages[0]['sent'], $messages[0]['destination']], ['1', $destination]);
    $unread = rows(call($client, 'getunreadmessages', SEEDED_CHAT));
    check('unread of the seeded chat', array_column($unread, 'issent'), ['0']);
    $latest = array_column(rows(call($client, 'getchats', SALES)), 'message', 'destination');
    check('getchats', $latest[$destination] ?? null, CAPTION);
    $names = array_column(rows(call($client, 'getchatchannels', [])), 'name', 'platformid');
    check('getchatchannels', $names['100'] ?? null, 'Sales');
    $fault = call($client, 'getchats', ['platform' => 'whatsapp', 'platformid' => '999']);
    check('faultcode', preg_replace('/^.*:/', '', $fault['faultcode']), 'Client');
    check('detail', $fault['detail']['error']['code'], 'CHANNEL_NOT_FOUND');
}

$endpoint = getenv('CHATGATE_URL') . '/api/soap/';
foreach (['?wsdl' => '-a', '?wsdl=1.1' => '-b', '' => '-c'] as $query => $suffix) {
    six_operations(new nusoap_client($endpoint . $query, $query !== ''), getenv('CHATGATE_DESTINATION') . $suffix);
}

echo "ok 6 operations, 1 error\n";
