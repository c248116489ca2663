// The whole API on the JWT way in: tokens by form and by Basic, checked with `jose` against the published keys.

'use strict';

const assert = require('node:assert/strict');
const jose = require('jose');

const { CHATGATE_URL, CHATGATE_CLIENT_ID, CHATGATE_CLIENT_SECRET, CHATGATE_DESTINATION } = process.env;
const SALES = { platform: 'whatsapp', platformid: '100' };
// A chat that every sandbox has from its start, with one unread message.
const SEEDED_CHAT = { ...SALES, destination: '34600000000' };
const TEXT = 'Żółć & <b>"x"</b> 100% + ü 😀';
const CAPTION = 'two\nlines';
const FIELDS = ['datetime', 'destination', 'message', 'messageid', 'platform', 'platformid', 'sent', 'status'];
const SENT = { status: 'SUCCESS', result: {}, delivery: 'sent' };

async function tokenByForm(endpoint) {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: CHATGATE_CLIENT_ID,
    client_secret: CHATGATE_CLIENT_SECRET,
  });
  return token(endpoint, { method: 'POST', body });
}

async function tokenByBasic(endpoint) {
  // RFC 6749 §2.3.1 has both halves form-encoded before they are joined.
  const pair = [CHATGATE_CLIENT_ID, CHATGATE_CLIENT_SECRET].map(encodeURIComponent).join(':');
  const headers = { Authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
  const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'chat' });
  return token(endpoint, { method: 'POST', headers, body });
}

async function token(endpoint, options) {
  const response = await fetch(endpoint, options);
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  assert.equal(answer.token_type, 'Bearer');
  return answer.access_token;
}

async function sixOperations(bearer, destination) {
  const call = async (method, parameters) => {
    const headers = { Authorization: `Bearer ${bearer}` };
    const body = new URLSearchParams({ class: 'chat', method, ...parameters });
    const response = await fetch(`${CHATGATE_URL}/api/jwt/`, { method: 'POST', headers, body });
    return [response.status, await response.json()];
  };
  const rows = async (method, parameters) => {
    const [status, answer] = await call(method, parameters);
    assert.equal(status, 200, `${method}: ${answer.error}`);
    return answer.result.list;
  };
  const send = async (method, parameters) => {
    const [status, answer] = await call(method, parameters);
    assert.deepEqual([status, answer], [200, SENT]);
  };

  const chat = { ...SALES, destination };
  await send('sendmessage', { ...chat, message: TEXT });
  const file = { type: 'video', fileurl: 'https://example.com/a.mp4', thumburl: 'https://example.com/a.png' };
  await send('sendfile', { ...chat, ...file, message: CAPTION });
  const messages = await rows('getmessages', chat);
  assert.deepEqual(messages.map((row) => row.message), [TEXT, CAPTION]);
  assert.deepEqual(Object.keys(messages[0]).sort(), FIELDS);
  assert.deepEqual(await rows('getunreadmessages', chat), []);
  const unread = await rows('getunreadmessages', SEEDED_CHAT);
  assert.deepEqual(unread.map((row) => row.issent), ['0']);
  const mine = (await rows('getchats', SALES)).filter((row) => row.destination === destination);
  assert.deepEqual(mine.map((row) => row.message), [CAPTION]);
  const channels = await rows('getchatchannels', {});
  const sales = channels.find((row) => row.platformid === '100');
  assert.deepEqual(sales, { ...SALES, name: 'Sales' });

  const [status, answer] = await call('getchats', { platform: 'whatsapp', platformid: '999' });
  assert.deepEqual([status, answer.error], [404, 'CHANNEL_NOT_FOUND']);
}

async function main() {
  const response = await fetch(`${CHATGATE_URL}/.well-known/oauth-authorization-server`);
  const metadata = await response.json();
  assert.equal(metadata.issuer, CHATGATE_URL);
  const keys = jose.createRemoteJWKSet(new URL(metadata.jwks_uri));
  for (const [getToken, suffix] of [[tokenByForm, '-form'], [tokenByBasic, '-basic']]) {
    const bearer = await getToken(metadata.token_endpoint);
    const { payload } = await jose.jwtVerify(bearer, keys, {
      issuer: CHATGATE_URL,
      audience: `${CHATGATE_URL}/api/jwt/`,
      typ: 'at+jwt',
      algorithms: ['EdDSA', 'RS256'],
      requiredClaims: ['sub', 'client_id', 'exp', 'iat', 'jti', 'scope'],
    });
    assert.deepEqual([payload.client_id, payload.scope], [CHATGATE_CLIENT_ID, 'chat']);
    await sixOperations(bearer, CHATGATE_DESTINATION + suffix);
  }
  console.log('ok 6 operations, 1 error');
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
