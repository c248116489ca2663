<?php

// Events with PHP's SoapClient, as SOAP 1.1 and 1.2.

declare(strict_types=1);

$login = ['user' => getenv('CHATGATE_USER'), 'password' => getenv('CHATGATE_PASSWORD')];
foreach ([SOAP_1_1, SOAP_1_2] as $version) {
    $options = ['soap_version' => $version, 'cache_wsdl' => WSDL_CACHE_NONE, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS];
    $client = new SoapClient(getenv('CHATGATE_URL') . '/api/soap/?wsdl', $options);
    $first = $client->getevents($login);
    if (isset($first->list->item) || strlen($first->cursor) !== 13 || [$first->more, $first->reset] !== ['0', '0']) {
        exit('error: ' . json_encode($first) . "\n");
    }
    $page = $client->getevents($login + ['cursor' => 'earliest', 'limit' => '1', 'wait' => '5']);
    $events = $page->list->item;
    if (count($events) !== 1 || !str_starts_with($events[0]->id, 'evt_') || $events[0]->platform !== 'whatsapp') {
        exit('error: ' . json_encode($page) . "\n");
    }
}
echo "ok\n";
