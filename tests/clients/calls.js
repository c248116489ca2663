// Calls by every way in, for the programs that look at what becomes of them.
"use strict";

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD, CHATGATE_CLIENT_ID, CHATGATE_CLIENT_SECRET } = process.env;
const basic = (user, password) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

async function post(path, body, headers = {}) {
  const answer = await fetch(CHATGATE_URL + path, { method: "POST", body, headers });
  return answer.text();
}

function form(method, values) {
  return new URLSearchParams({ class: "chat", method, ...values });
}

async function http(method, values) {
  return JSON.parse(await post("/api/http/", form(method, { ...values, user: CHATGATE_USER, password: CHATGATE_PASSWORD })));
}

async function basicCall(method, values) {
  const headers = { Authorization: basic(CHATGATE_USER, CHATGATE_PASSWORD) };
  return JSON.parse(await post("/api/basic/", form(method, values), headers));
}

async function jwt(method, values) {
  const asked = new URLSearchParams({ grant_type: "client_credentials", scope: "chat" });
  const token = JSON.parse(await post("/oauth/token", asked, { Authorization: basic(CHATGATE_CLIENT_ID, CHATGATE_CLIENT_SECRET) }));
  return JSON.parse(await post("/api/jwt/", form(method, values), { Authorization: `Bearer ${token.access_token}` }));
}

// The envelope that comes back, as text.
async function soap(method, values) {
  const xml = (text) => text.replace(/[&<>\r]/g, (c) => `&#${c.charCodeAt(0)};`);
  const children = Object.entries({ user: CHATGATE_USER, password: CHATGATE_PASSWORD, ...values })
    .map(([name, value]) => `<${name}>${xml(value)}</${name}>`)
    .join("");
  const envelope =
    `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` +
    `<${method} xmlns="urn:chatgate:chat:v1">${children}</${method}></s:Body></s:Envelope>`;
  return post("/api/soap/", envelope, { "Content-Type": "text/xml; charset=utf-8" });
}

module.exports = { http, basic: basicCall, jwt, soap };
