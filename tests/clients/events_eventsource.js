// Reads a stream of events with npm's `eventsource`, which comes again by itself behind the last event.
"use strict";

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD } = process.env;
const Authorization = "Basic " + Buffer.from(`${CHATGATE_USER}:${CHATGATE_PASSWORD}`).toString("base64");
const NAME = "events_eventsource.js";

async function main() {
  const { EventSource } = require("eventsource");
  const found = [];
  await new Promise((resolve, reject) => {
    const source = new EventSource(`${CHATGATE_URL}/api/events?cursor=now`, {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, Authorization } }),
    });
    source.onopen = () => console.log("ready");
    source.onerror = (error) => reject(new Error(`error ${error.code} ${error.message}`));
    source.onmessage = (event) => {
      const text = JSON.parse(event.data).data.message ?? "";
      if (text.includes(NAME)) found.push([event.lastEventId, text]);
      if (found.length === 3) resolve(source.close());
    };
  });
  const expected = [0, 1, 2].map((number) => `To ${NAME} ${number} ü 😀`);
  if (JSON.stringify(found.map(([, text]) => text).sort()) !== JSON.stringify(expected)) throw new Error(`error ${JSON.stringify(found)}`);
  console.log(`ok ${found.length} events`);
}

main().catch((error) => {
  console.log(String(error.message || error));
  process.exitCode = 1;
});
