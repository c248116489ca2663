"""An outside issuer of tokens, with PyJWT and ES256.

`keygen DIR` writes `private.pem` and the public `jwks.json`, which the gateway's config names; `call DIR` signs tokens
with that key and calls the JWT way in with them.
"""

import json
import os
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "https://issuer.example"
AUDIENCE = "chatgate-tests"
KID = "pyjwt-1"
LIFE_S = 300


def check(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r} instead of {expected!r}")


def keygen(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public |= {"kid": KID, "use": "sig", "alg": "ES256"}
    private = folder / "private.pem"
    private.touch(mode=0o600)
    private.write_bytes(pem)
    (folder / "jwks.json").write_text(json.dumps({"keys": [public]}))


def call(key, audience):
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": os.environ["CHATGATE_ACCESS"],
        "iat": now,
        "exp": now + LIFE_S,
    }
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": KID})
    url = os.environ["CHATGATE_URL"] + "/api/jwt/?class=chat&method=getchatchannels"
    try:
        with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"})) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


command, folder = sys.argv[1], Path(sys.argv[2])
if command == "keygen":
    keygen(folder)
else:
    key = (folder / "private.pem").read_text()
    status, answer = call(key, AUDIENCE)
    check("getchatchannels", (status, answer.get("error"), answer["status"]), (200, None, "SUCCESS"))
    status, answer = call(key, "somebody-else")
    check("wrong audience", (status, answer["error"]), (401, "INCORRECT_TOKEN"))
    print("ok 1 operation, 1 error")
