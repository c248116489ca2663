// Reads a stream of events in Chromium: by its EventSource, with the credentials that the browser asks for, and by fetch.
"use strict";

const { chromium } = require("playwright-core");

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD, CHATGATE_CHROMIUM } = process.env;
const NAME = "events_browser.js";

// Runs in the page.
function read({ name, authorization }) {
  const found = [];
  const keep = (id, data) => {
    const text = JSON.parse(data).data.message || "";
    if (text.includes(name)) found.push([id, text]);
  };
  const bySource = new Promise((resolve, reject) => {
    const source = new EventSource("/api/events?cursor=now");
    window.opened = new Promise((opened) => (source.onopen = opened));
    source.onmessage = (event) => {
      keep(event.lastEventId, event.data);
      if (found.length === 3) resolve(found);
    };
    source.onerror = () => source.readyState === 2 && reject(new Error("error: the EventSource is closed"));
  });
  const byFetch = async (from) => {
    const headers = { Authorization: authorization, Accept: "text/event-stream", "Last-Event-ID": from };
    const answer = await fetch("/api/events", { headers });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const ids = [];
    while (ids.length < 2) {
      const { value } = await reader.read();
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) if (block.includes("\ndata: ")) ids.push(block.match(/^id: (.*)$/m)[1]);
    }
    await reader.cancel();
    return ids;
  };
  window.ended = bySource.then(async (found) => ({ found, again: await byFetch(found[0][0]) }));
}

async function main() {
  const browser = await chromium.launch({ executablePath: CHATGATE_CHROMIUM });
  const context = await browser.newContext({ httpCredentials: { username: CHATGATE_USER, password: CHATGATE_PASSWORD } });
  const page = await context.newPage();
  // A page of the same origin whose policy does not forbid scripts to connect.
  await page.route("**/page", (route) => route.fulfill({ contentType: "text/html", body: "<title>Events</title>" }));
  await page.goto(`${CHATGATE_URL}/page`);
  const authorization = "Basic " + Buffer.from(`${CHATGATE_USER}:${CHATGATE_PASSWORD}`).toString("base64");
  await page.evaluate(read, { name: NAME, authorization });
  await page.evaluate(() => window.opened);
  console.log("ready");
  const { found, again } = await page.evaluate(() => window.ended);
  await browser.close();
  const expected = [0, 1, 2].map((number) => `To ${NAME} ${number} ü 😀`);
  if (JSON.stringify(found.map(([, text]) => text).sort()) !== JSON.stringify(expected)) throw new Error(`error ${JSON.stringify(found)}`);
  if (JSON.stringify(again) !== JSON.stringify(found.slice(1).map(([id]) => id))) throw new Error(`error ${again} ${found}`);
  console.log(`ok ${found.length} events, and those behind the first once more`);
}

main().catch((error) => {
  console.log(String(error.message || error));
  process.exit(1);
});
