// Reads events as they happen. After an interruption it resumes after the last event that it handled. Node.js 18 or later.
"use strict";

const fs = require("node:fs");

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD, CURSOR_FILE = "cursor.txt" } = process.env;
const AUTHORIZATION = "Basic " + Buffer.from(`${CHATGATE_USER}:${CHATGATE_PASSWORD}`).toString("base64");

// The stream sends at least a heartbeat every 15 seconds.
const SILENCE_MS = 45_000;
let retryMs = 3_000;

// Put your own code here. After an interruption an event may arrive twice, with the same id.
async function handle(event) {
  console.log(JSON.stringify(event));
}

function saved() {
  return fs.existsSync(CURSOR_FILE) ? fs.readFileSync(CURSOR_FILE, "utf8").trim() : "now";
}

// Saves the cursor in two steps, so that a crash leaves either the old or the new cursor.
function save(cursor) {
  fs.writeFileSync(CURSOR_FILE + ".new", cursor);
  fs.renameSync(CURSOR_FILE + ".new", CURSOR_FILE);
}

async function frame(lines) {
  const fields = { event: "message", data: "", id: "" };
  for (const line of lines) {
    const [name, value] = [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).replace(/^ /, "")];
    if (name === "retry") retryMs = Number(value);
    else if (name in fields) fields[name] = value;
  }
  if (fields.data && fields.event === "message") await handle(JSON.parse(fields.data));
  else if (fields.data) console.error(fields.event, fields.data); // reset, busy, bye
  // Save the cursor only after the event is handled. Otherwise a crash in between would lose the event.
  if (fields.id) save(fields.id);
}

async function read() {
  const headers = { Authorization: AUTHORIZATION, Accept: "text/event-stream" };
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), SILENCE_MS);
  try {
    const answer = await fetch(`${CHATGATE_URL}/api/events?cursor=${saved()}`, { headers, signal: stop.signal });
    if (answer.status !== 200) {
      console.error(await answer.text());
      // The request itself is wrong, so a retry would fail too. All other errors are temporary.
      if (answer.status < 500 && answer.status !== 429) process.exit(1);
      return;
    }
    let text = "";
    const decoder = new TextDecoder();
    for await (const piece of answer.body) {
      timer.refresh();
      const parts = (text + decoder.decode(piece, { stream: true })).split("\n\n");
      text = parts.pop();
      for (const part of parts) await frame(part.split("\n"));
    }
  } catch (error) {
    console.error(error.cause?.code ?? error.message);
  } finally {
    clearTimeout(timer);
  }
}

(async () => {
  for (;;) {
    await read();
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
})();
