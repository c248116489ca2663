// Calls {{ call.method }} of the chat API by {{ call.way }}. Node.js 18 or newer; needs {{ call.secret }} in the environment{% if call.soap %}, and soap (npm install soap){% endif %}.

"use strict";
{%- if call.soap %}

const soap = require("soap");
{%- endif %}
{%- if call.send %}

const { randomUUID } = require("node:crypto");
{%- endif %}

async function main() {
  const secret = process.env.{{ call.secret }};
  if (!secret) {
    throw new Error("{{ call.secret }} is not set");
  }
  const fields = {
{%- if !call.soap %}
    class: "chat",
    method: "{{ call.method }}",
{%- endif %}
{%- if call.http || call.soap %}
    user: {{ call.user }},
    password: secret,
{%- endif %}
{%- for field in call.fields %}
    {{ field.name }}: {{ field.value }},
{%- endfor %}
{%- if call.send %}
    // Use one key per message: a retry with the same key never sends the message twice.
    idempotency_key: randomUUID(),
{%- endif %}
  };
{%- if call.soap %}
  const client = await soap.createClientAsync({{ call.wsdl }}, { wsdl_options: { timeout: 30000 } });
  try {
    const [answer] = await client.{{ call.method }}Async(fields, { timeout: 30000 });
    console.log(JSON.stringify(answer));
  } catch (error) {
    // The code is in the detail of the fault.
    const fault = error.root?.Envelope?.Body?.Fault;
    throw new Error(fault?.detail?.error?.code ?? error.message);
  }
}
{%- else %}
  const headers = {};
{%- if call.jwt %}
  const token = await post({{ call.token_url }}, {
    grant_type: "client_credentials",
    client_id: {{ call.client_id }},
    client_secret: secret,
    scope: "{{ call.method }}",
  }, {});
  if (!token.access_token) {
    throw new Error(`no token: ${token.error}`);
  }
  headers.Authorization = `Bearer ${token.access_token}`;
{%- endif %}
{%- if call.basic %}
  headers.Authorization = "Basic " + Buffer.from({{ call.user }} + ":" + secret).toString("base64");
{%- endif %}
  const answer = await post({{ call.url }}, fields, headers);
  // An error may have HTTP status 200, so check the status in the response.
  if (answer.status !== "SUCCESS") {
    throw new Error(answer.error ?? "not an answer of the chat API");
  }
  console.log(JSON.stringify(answer));
}

async function post(url, fields, headers) {
  const response = await fetch(url, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers,
    signal: AbortSignal.timeout(30000),
  });
  return response.json();
}
{%- endif %}

main().catch((error) => {
  console.error(error.cause?.message ?? error.message);
  process.exitCode = 1;
});
