#!/usr/bin/perl
# The whole API with SOAP::Lite: as SOAP 1.1 from the WSDL, and as SOAP 1.2 with proxy and namespace written by hand.

use strict;
use utf8;
use warnings;

use SOAP::Lite;

binmode STDERR, ':encoding(UTF-8)';

my $ENDPOINT    = "$ENV{CHATGATE_URL}/api/soap/";
my $NAMESPACE   = 'urn:chatgate:chat:v1';
my $DESTINATION = $ENV{CHATGATE_DESTINATION};
my @LOGIN       = @ENV{qw(CHATGATE_USER CHATGATE_PASSWORD)};
my @SALES       = qw(whatsapp 100);

# A chat that every sandbox has from its start, with one unread message.
my @SEEDED_CHAT = (@SALES, '34600000000');

my $TEXT    = 'Żółć & <b>"x"</b> 100% + ü 😀';
my $CAPTION = "]]> and two\nlines";

# The parameters as the WSDL orders them: the stub made from it takes them by position.
my %PARAMETERS = (
    getchatchannels   => [],
    sendmessage       => [qw(platform platformid destination message)],
    sendfile          => [qw(platform platformid destination type fileurl thumburl message)],
    getchats          => [qw(platform platformid)],
    getmessages       => [qw(platform platformid destination)],
    getunreadmessages => [qw(platform platformid destination)],
);

sub fail {
    print STDERR "@_\n";
    exit 1;
}

sub check {
    my ($what, $actual, $expected) = @_;
    $actual //= 'nothing';
    fail("$what: <$actual> instead of <$expected>") if $actual ne $expected;
}

sub answer {
    my ($call, $method, @values) = @_;
    my $answer = $call->($method, @values, @LOGIN);
    fail("$method: " . $answer->valueof('//Fault//code')) if $answer->fault;
    return $answer;
}

sub rows {
    return answer(@_)->valueof('//list/item');
}

sub six_operations {
    my ($call, $destination) = @_;
    my @chat = (@SALES, $destination);
    my $answer = answer($call, 'sendmessage', @chat, $TEXT);
    check('sendmessage', $answer->valueof('//delivery'), 'sent');
    my @file = ('document', 'https://example.com/a.pdf?b=1&c=2', '');
    $answer = answer($call, 'sendfile', @chat, @file, $CAPTION);
    check('sendfile', $answer->valueof('//delivery'), 'sent');
    my @messages = rows($call, 'getmessages', @chat);
    check('getmessages', join('|', map { $_->{message} } @messages), "$TEXT|$CAPTION");
    check('sent', $messages[0]{sent}, '1');
    check('getunreadmessages', scalar(my @none = rows($call, 'getunreadmessages', @chat)), 0);
    my ($unread) = rows($call, 'getunreadmessages', @SEEDED_CHAT);
    check('unread of the seeded chat', $unread->{issent}, '0');
    my ($mine) = grep { $_->{destination} eq $destination } rows($call, 'getchats', @SALES);
    check('getchats', $mine->{message}, $CAPTION);
    my ($sales) = grep { $_->{platformid} eq '100' } rows($call, 'getchatchannels');
    check('getchatchannels', $sales->{name}, 'Sales');
}

$SIG{__DIE__} = sub { fail(@_) unless $^S };

my $service = SOAP::Lite->service("$ENDPOINT?wsdl");
$service->want_som(1);
my $from_wsdl = sub {
    my ($method, @values) = @_;
    return $service->$method(@values);
};
six_operations($from_wsdl, "$DESTINATION-11");

my $fault = $from_wsdl->('getchats', 'whatsapp', '999', @LOGIN);
check('faultcode', $fault->faultcode =~ s/.*://r, 'Client');
check('faultdetail', $fault->faultdetail->{error}{code}, 'CHANNEL_NOT_FOUND');
$fault = $from_wsdl->('getchatchannels', $LOGIN[0], 'wrong');
check('faultdetail', $fault->faultdetail->{error}{code}, 'INCORRECT_USER_PASSWORD');

# The library knows no binding of SOAP 1.2, so that a WSDL of it alone gives it nothing to call.
# Its code takes the place of the one above, which Perl warns of.
{
    local $SIG{__WARN__} = sub { };
    my $alone = SOAP::Lite->service("$ENDPOINT?wsdl=1.1");
    $alone->want_som(1);
    my @channels = $alone->getchatchannels(@LOGIN)->valueof('//list/item');
    check('by SOAP 1.1 alone', $channels[0]{platformid} ne '', 1);
}

# From here on the version holds for every object: SOAP::Lite keeps it globally.
my $proxy = SOAP::Lite->soapversion('1.2')->proxy($ENDPOINT)->default_ns($NAMESPACE);
# By itself the library says that the envelope is encoded, which SOAP 1.2 forbids.
$proxy->serializer->encodingStyle('');
$proxy->on_action(sub { "$NAMESPACE#$_[1]" });
my $by_hand = sub {
    my ($method, @values) = @_;
    my @names = (@{ $PARAMETERS{$method} }, qw(user password));
    return $proxy->call($method, map { SOAP::Data->name(shift @names, $_)->type('string') } @values);
};
six_operations($by_hand, "$DESTINATION-12");

# The library's own accessors know the faults of SOAP 1.1 only.
$fault = $by_hand->('getchats', 'whatsapp', '999', @LOGIN);
check('Code', $fault->valueof('//Fault/Code/Value') =~ s/.*://r, 'Sender');
check('Detail', $fault->valueof('//Fault/Detail/error/code'), 'CHANNEL_NOT_FOUND');

print "ok 6 operations, 1 error\n";
