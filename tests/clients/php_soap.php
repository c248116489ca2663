<?php

// The whole API with PHP's SoapClient from the WSDL, as SOAP 1.1 and as SOAP 1.2.

declare(strict_types=1);

const SALES = ['platform' => 'whatsapp', 'platformid' => '100'];
// A chat that every sandbox has from its start, with one unread message.
const SEEDED_CHAT = SALES + ['destination' => '34600000000'];
const TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀';
const CAPTION = "]]> and two\nlines";

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

function rows(stdClass $response): array
{
    return $response->list->item ?? [];
}

function six_operations(SoapClient $client, array $login, string $destination): void
{
    $chat = SALES + ['destination' => $destination];
    $response = $client->sendmessage($login + $chat + ['message' => TEXT]);
    check('sendmessage', [$response->delivery, $response->request_id !== ''], ['sent', true]);
    $file = ['type' => 'voice', 'fileurl' => 'https://example.com/a.ogg?b=1&c=2', 'message' => CAPTION];
    check('sendfile', $client->sendfile($login + $chat + $file)->delivery, 'sent');
    $messages = rows($client->getmessages($login + $chat));
    check('getmessages', array_column($messages, 'message'), [TEXT, CAPTION]);
    check('fields of getmessages', [$messages[0]->sent, $messages[0]->destination], ['1', $destination]);
    check('getunreadmessages', rows($client->getunreadmessages($login + $chat)), []);
    $unread = rows($client->getunreadmessages($login + SEEDED_CHAT));
    check('unread of the seeded chat', array_column($unread, 'issent'), ['0']);
    $latest = array_column(rows($client->getchats($login + SALES)), 'message', 'destination');
    check('getchats', $latest[$destination] ?? null, CAPTION);
    $names = array_column(rows($client->getchatchannels($login)), 'name', 'platformid');
    check('getchatchannels', $names['100'] ?? null, 'Sales');
}

function check_fault(SoapClient $client, string $method, array $parameters, array $expected): void
{
    try {
        $client->__soapCall($method, [$parameters]);
    } catch (SoapFault $fault) {
        $short = preg_replace('/^.*:/', '', $fault->faultcode);
        check("fault of $method", [$short, $fault->detail->error->code], $expected);
        return;
    }
    fail("$method: no fault");
}

set_exception_handler(fn (Throwable $e) => fail((string) $e));

$user = getenv('CHATGATE_USER');
$login = ['user' => $user, 'password' => getenv('CHATGATE_PASSWORD')];
$versions = [
    [SOAP_1_1, '-11', 'Client'],
    [SOAP_1_2, '-12', 'Sender'],
];
foreach ($versions as [$version, $suffix, $refused]) {
    $options = [
        'soap_version' => $version,
        'cache_wsdl' => WSDL_CACHE_NONE,
        'features' => SOAP_SINGLE_ELEMENT_ARRAYS,
    ];
    $wsdl = getenv('CHATGATE_URL') . '/api/soap/?wsdl';
    $alone = new SoapClient($wsdl . ($version === SOAP_1_1 ? '=1.1' : '=1.2'), $options);
    check('by one version alone', rows($alone->getchatchannels($login)) !== [], true);
    $client = new SoapClient($wsdl, $options);
    six_operations($client, $login, getenv('CHATGATE_DESTINATION') . $suffix);
    $unknown = ['platform' => 'whatsapp', 'platformid' => '999'];
    check_fault($client, 'getchats', $login + $unknown, [$refused, 'CHANNEL_NOT_FOUND']);
}
$wrong = ['user' => $user, 'password' => 'wrong'];
check_fault($client, 'getchatchannels', $wrong, ['Sender', 'INCORRECT_USER_PASSWORD']);

echo "ok 6 operations, 1 error\n";
