// The whole API with npm's `soap` from the WSDL, as SOAP 1.1 and as SOAP 1.2, and with the library's own login headers.

'use strict';

const assert = require('node:assert/strict');
const { promisify } = require('node:util');
const soap = require('soap');

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD, CHATGATE_DESTINATION } = process.env;
const WSDL = `${CHATGATE_URL}/api/soap/?wsdl`;
const LOGIN = { user: CHATGATE_USER, password: CHATGATE_PASSWORD };
const SALES = { platform: 'whatsapp', platformid: '100' };
// A chat that every sandbox has from its start, with one unread message.
const SEEDED_CHAT = { ...SALES, destination: '34600000000' };
const TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀';
const CAPTION = ']]> and two\nlines';

// The library gives null for an element without children.
const rows = (response) => response.list?.item ?? [];

async function fault(operation, parameters) {
  try {
    await operation(parameters);
  } catch (error) {
    if (error.root) {
      return error.root.Envelope.Body.Fault;
    }
    throw error;
  }
  return assert.fail('no fault');
}

async function sixOperations(port, destination) {
  const call = (method, parameters) => promisify(port[method])({ ...LOGIN, ...parameters });
  const chat = { ...SALES, destination };
  let response = await call('sendmessage', { ...chat, message: TEXT });
  assert.equal(response.delivery, 'sent');
  assert.ok(response.request_id);
  const file = { type: 'contact', fileurl: 'https://example.com/a.vcf?b=1&c=2', message: CAPTION };
  response = await call('sendfile', { ...chat, ...file });
  assert.equal(response.delivery, 'sent');
  const messages = rows(await call('getmessages', chat));
  assert.deepEqual(messages.map((row) => row.message), [TEXT, CAPTION]);
  assert.deepEqual([messages[0].sent, messages[0].destination], ['1', destination]);
  assert.deepEqual(rows(await call('getunreadmessages', chat)), []);
  const unread = rows(await call('getunreadmessages', SEEDED_CHAT));
  assert.deepEqual(unread.map((row) => row.issent), ['0']);
  const mine = rows(await call('getchats', SALES)).filter((row) => row.destination === destination);
  assert.deepEqual(mine.map((row) => row.message), [CAPTION]);
  const sales = rows(await call('getchatchannels', {})).find((row) => row.platformid === '100');
  assert.equal(sales.name, 'Sales');
}

async function main() {
  // With the cache both clients would share one WSDL object, and with it the version.
  const client11 = await soap.createClientAsync(WSDL, { disableCache: true });
  const port11 = client11.ChatService.ChatSoap11;
  await sixOperations(port11, `${CHATGATE_DESTINATION}-11`);
  const client12 = await soap.createClientAsync(WSDL, { disableCache: true, forceSoap12Headers: true });
  const port12 = client12.ChatService.ChatSoap12;
  await sixOperations(port12, `${CHATGATE_DESTINATION}-12`);

  for (const [version, port] of [['1.1', 'ChatSoap11'], ['1.2', 'ChatSoap12']]) {
    const options = { disableCache: true, forceSoap12Headers: version === '1.2' };
    const alone = await soap.createClientAsync(`${WSDL}=${version}`, options);
    assert.deepEqual(Object.keys(alone.ChatService), [port]);
    assert.ok(rows(await promisify(alone.ChatService[port].getchatchannels)(LOGIN)).length > 0);
  }

  const unknown = { ...LOGIN, platform: 'whatsapp', platformid: '999' };
  const wrong = { user: CHATGATE_USER, password: 'wrong' };
  let refused = await fault(promisify(port11.getchats), unknown);
  assert.match(refused.faultcode, /:Client$/);
  assert.equal(refused.detail.error.code, 'CHANNEL_NOT_FOUND');
  refused = await fault(promisify(port11.getchatchannels), wrong);
  assert.equal(refused.detail.error.code, 'INCORRECT_USER_PASSWORD');
  refused = await fault(promisify(port12.getchats), unknown);
  assert.match(refused.Code.Value, /:Sender$/);
  assert.match(refused.Code.Subcode.Value, /:CHANNEL_NOT_FOUND$/);
  assert.equal(refused.Detail.error.code, 'CHANNEL_NOT_FOUND');

  const headers = [soap.WSSecurity, soap.BasicAuthSecurity];
  for (const Security of headers) {
    client11.setSecurity(new Security(CHATGATE_USER, CHATGATE_PASSWORD));
    assert.ok(rows(await promisify(port11.getchatchannels)({})).length > 0, Security.name);
  }
  console.log('ok 6 operations, 1 error');
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
