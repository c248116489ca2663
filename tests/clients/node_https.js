// The whole API with Node's own client: a POST that carries everything in its query and has no body.

'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const https = require('node:https');

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD, CHATGATE_DESTINATION } = process.env;
const SALES = { platform: 'whatsapp', platformid: '100' };
// A chat that every sandbox has from its start, with one unread message.
const SEEDED_CHAT = { ...SALES, destination: '34600000000' };
const TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀';
const CAPTION = "it's (a) file!\n*~";
const FIELDS = ['datetime', 'destination', 'message', 'messageid', 'platform', 'platformid', 'sent', 'status'];
const SENT = { status: 'SUCCESS', result: {}, delivery: 'sent' };

function call(method, parameters, password = CHATGATE_PASSWORD) {
  const named = { class: 'chat', method, user: CHATGATE_USER, password, ...parameters };
  const query = Object.entries(named)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  const url = new URL('/api/http/', CHATGATE_URL);
  const options = {
    hostname: url.hostname,
    port: url.port,
    path: `${url.pathname}?${query}`,
    method: 'POST',
  };
  return new Promise((resolve, reject) => {
    const client = url.protocol === 'https:' ? https : http;
    const request = client.request(options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => {
        try {
          resolve(JSON.parse(body));
        } catch (error) {
          reject(error);
        }
      });
    });
    request.on('error', reject);
    request.end();
  });
}

async function rows(method, parameters) {
  const answer = await call(method, parameters);
  assert.equal(answer.status, 'SUCCESS', method);
  return answer.result.list;
}

async function main() {
  const chat = { ...SALES, destination: CHATGATE_DESTINATION };
  let answer = await call('sendmessage', { ...chat, message: TEXT });
  assert.deepEqual(answer, SENT);
  const file = { type: 'audio', fileurl: 'https://example.com/a.ogg', thumburl: '', message: CAPTION };
  answer = await call('sendfile', { ...chat, ...file });
  assert.deepEqual(answer, SENT);
  const messages = await rows('getmessages', chat);
  assert.deepEqual(messages.map((row) => row.message), [TEXT, CAPTION]);
  assert.deepEqual(Object.keys(messages[0]).sort(), FIELDS);
  assert.deepEqual(await rows('getunreadmessages', chat), []);
  const unread = await rows('getunreadmessages', SEEDED_CHAT);
  assert.deepEqual(unread.map((row) => row.issent), ['0']);
  const chats = await rows('getchats', SALES);
  const mine = chats.filter((row) => row.destination === CHATGATE_DESTINATION);
  assert.deepEqual(mine.map((row) => row.message), [CAPTION]);
  const channels = await rows('getchatchannels', {});
  const sales = channels.find((row) => row.platformid === '100');
  assert.deepEqual(sales, { ...SALES, name: 'Sales' });

  answer = await call('getchats', { platform: 'whatsapp', platformid: '999' });
  assert.deepEqual([answer.status, answer.error], ['ERROR', 'CHANNEL_NOT_FOUND']);
  answer = await call('getchatchannels', {}, 'wrong');
  assert.deepEqual([answer.status, answer.error], ['ERROR', 'INCORRECT_USER_PASSWORD']);

  console.log('ok 6 operations, 1 error');
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
