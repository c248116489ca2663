// An outside issuer of tokens, with `jose` and RS256.
//
// `keygen DIR` writes `private.pem` and the public `jwks.json`, which the gateway's config names; `call DIR` signs
// tokens with that key and calls the JWT way in with them.

'use strict';

const assert = require('node:assert/strict');
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const jose = require('jose');

const ISSUER = 'https://issuer.example';
const AUDIENCE = 'chatgate-tests';
const ALGORITHM = 'RS256';
const KID = 'jose-1';

async function keygen(folder) {
  const { publicKey, privateKey } = await jose.generateKeyPair(ALGORITHM, { extractable: true });
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: KID, use: 'sig', alg: ALGORITHM };
  writeFileSync(join(folder, 'private.pem'), await jose.exportPKCS8(privateKey), { mode: 0o600 });
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys: [jwk] }));
}

async function call(key, audience) {
  const token = await new jose.SignJWT()
    .setProtectedHeader({ alg: ALGORITHM, kid: KID, typ: 'JWT' })
    .setIssuer(ISSUER)
    .setAudience(audience)
    .setSubject(process.env.CHATGATE_ACCESS)
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(key);
  const url = `${process.env.CHATGATE_URL}/api/jwt/?class=chat&method=getchatchannels`;
  const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
  return [response.status, await response.json()];
}

async function main() {
  const [command, folder] = process.argv.slice(2);
  if (command === 'keygen') {
    await keygen(folder);
    return;
  }
  const key = await jose.importPKCS8(readFileSync(join(folder, 'private.pem'), 'utf8'), ALGORITHM);
  let [status, answer] = await call(key, AUDIENCE);
  assert.deepEqual([status, answer.error, answer.status], [200, undefined, 'SUCCESS']);
  [status, answer] = await call(key, 'somebody-else');
  assert.deepEqual([status, answer.error], [401, 'INCORRECT_TOKEN']);
  console.log('ok 1 operation, 1 error');
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
