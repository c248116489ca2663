// Calls the Basic way in from pages in Chromium, which has stored the visitor's credentials: a page of another site by an image, a
// script and a form, and a page of the gateway's own origin by a script.
"use strict";

const http = require("node:http");

const { chromium } = require("playwright-core");

const { CHATGATE_URL, CHATGATE_USER, CHATGATE_PASSWORD, CHATGATE_CHROMIUM } = process.env;
const ENDPOINT = `${CHATGATE_URL}/api/basic/`;
const call = (destination) =>
  `class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=${destination}&message=forged`;

const PAGE = `<!doctype html><title>Elsewhere</title><iframe name="frame"></iframe>
<form action="${ENDPOINT}" method="post" target="frame">
${[...new URLSearchParams(call("form"))].map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`).join("")}
</form>`;

async function main() {
  const elsewhere = http.createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end(PAGE));
  await new Promise((listens) => elsewhere.listen(0, "127.0.0.1", listens));
  const browser = await chromium.launch({ executablePath: CHATGATE_CHROMIUM });
  const context = await browser.newContext({ httpCredentials: { username: CHATGATE_USER, password: CHATGATE_PASSWORD } });
  const page = await context.newPage();
  // Chromium hides some answers from the page, and then reports the request as failed.
  const ended = (destination) => {
    const isCall = (request) => (request.url() + (request.postData() || "")).includes(`destination=${destination}`);
    const ends = (event) => page.waitForEvent(event, isCall);
    return Promise.any([ends("requestfinished"), ends("requestfailed")]);
  };
  // The visitor signs in.
  const signed = await page.goto(`${ENDPOINT}?class=chat&method=getchatchannels`);
  if (signed.status() !== 200) throw new Error(`the visitor gets ${signed.status()}`);

  // 127.0.0.1 and localhost are two sites.
  await page.goto(`http://localhost:${elsewhere.address().port}/`);
  const ways = {
    image: (url) => (document.body.appendChild(new Image()).src = url),
    script: ([url, body]) => void fetch(url, { method: "POST", mode: "no-cors", credentials: "include", body: new URLSearchParams(body) }),
    form: () => document.forms[0].submit(),
  };
  for (const [way, does] of Object.entries(ways)) {
    const argument = way === "image" ? `${ENDPOINT}?${call(way)}` : [ENDPOINT, call(way)];
    await Promise.all([ended(way), page.evaluate(does, argument)]);
  }

  // A page of the same origin whose policy does not forbid scripts to connect.
  await page.route("**/page", (route) => route.fulfill({ contentType: "text/html", body: "<title>Here</title>" }));
  await page.goto(`${CHATGATE_URL}/page`);
  const post = ([url, body]) => fetch(url, { method: "POST", body: new URLSearchParams(body) }).then((answer) => answer.json());
  await page.evaluate(post, [ENDPOINT, call("here")]);
  for (const destination of [...Object.keys(ways), "here"]) {
    const read = `class=chat&method=getmessages&platform=whatsapp&platformid=100&destination=${destination}`;
    const answer = JSON.stringify(await page.evaluate(post, [ENDPOINT, read]));
    if (answer.includes("forged") !== (destination === "here")) throw new Error(`${destination}: ${answer}`);
  }
  await browser.close();
  elsewhere.close();
  console.log("ok: three forged calls rejected, one of the own origin accepted");
}

main().catch((error) => {
  console.log(String(error.message || error));
  process.exit(1);
});
