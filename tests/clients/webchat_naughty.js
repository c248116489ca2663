// Every naughty string as what is said, as who says it and as a file's address: shown as it is, and does nothing.
"use strict";

const { check, run } = require("./browser.js");
const call = require("./calls.js");
const { STRINGS } = require("./naughty.js");

const SANDBOX = process.env.CHATGATE_SANDBOX;

// The pages show the newest 200 messages and 100 chats of a platform.
const CHUNK = 90;

// What an HTML parser makes of line ends.
const lines = (text) => text.replace(/\r\n?/g, "\n");

// Words of ours and no elements but ours; what came is text, and links lead to the web.
function found() {
  const texts = [...document.querySelectorAll("main .text")].map((one) => one.textContent);
  const names = [...document.querySelectorAll("main .name")].map((one) => one.textContent);
  const strange = [...document.querySelectorAll("main .text *, main .name *, main .excerpt > bdi *, main .file a *")];
  const links = [...document.querySelectorAll("main a")].map((one) => one.href);
  return { texts, names, links, strange: strange.map((one) => one.outerHTML), harmed: window.harmed };
}

function inert(page) {
  check(page.harmed === undefined, "a script ran");
  check(page.strange.length === 0, `markup got through: ${page.strange[0]}`);
  for (const link of page.links) check(/^https?:/.test(link), `a link to ${link}`);
}

run(async (browser) => {
  const counts = { message: 0, name: 0, url: 0, refused: 0 };
  const visitor = await browser.page();
  await visitor.goto(`${SANDBOX}/chat/1`);
  await visitor.getByText("Live", { exact: true }).waitFor();
  const destination = await visitor.locator("#visitor").textContent();
  const place = { platform: "webchat", platformid: "1", destination };
  const operator = await browser.page();
  for (let at = 0; at < STRINGS.length; at += CHUNK) {
    const chunk = STRINGS.slice(at, at + CHUNK);
    const said = [];
    const named = [];
    for (const string of chunk) {
      const sent = await call.http("sendmessage", { ...place, message: string });
      if (sent.status === "SUCCESS") said.push(string);
      else counts.refused += 1;
      const who = { platform: "telegram", platformid: "200", destination: string };
      const told = await call.http("sendmessage", { ...who, message: string });
      if (told.status === "SUCCESS") named.push(string);
      else counts.refused += 1;
      for (const fileurl of [string, `https://files.example.com/?${string}`]) {
        const file = await call.http("sendfile", { ...place, type: "image", fileurl, message: "" });
        if (file.status === "SUCCESS") counts.url += 1;
        else counts.refused += 1;
      }
    }
    // Live, and as the page is made anew.
    const marker = `The end of ${at}`;
    await call.http("sendmessage", { ...place, message: marker });
    await visitor.getByText(marker, { exact: true }).waitFor();
    for (const anew of [false, true]) {
      if (anew) await visitor.reload();
      const page = await visitor.evaluate(found);
      inert(page);
      const shown = new Set(page.texts);
      for (const string of said) check(shown.has(lines(string)), `not as it was said: ${JSON.stringify(string)}`);
    }
    await operator.goto(`${SANDBOX}/operator/`);
    const list = await operator.evaluate(found);
    inert(list);
    const names = new Set(list.names);
    for (const string of named) check(names.has(lines(string)), `not the name it was: ${JSON.stringify(string)}`);
    counts.message += said.length;
    counts.name += named.length;
    if (at === 0) {
      await operator.locator(".platform", { hasText: "Telegram" }).locator(".cards a").first().click();
      await operator.getByRole("heading", { level: 1 }).waitFor();
      inert(await operator.evaluate(found));
      await browser.audit(operator, "naughty-operator-chat");
    }
  }
  await browser.audit(visitor, "naughty-chat");
  await operator.goto(`${SANDBOX}/operator/`);
  await browser.audit(operator, "naughty-operator");
  return (
    `${STRINGS.length} strings: inert as message ${counts.message}, as user name ${counts.name}, ` +
    `as file URL ${counts.url}; refused by the gateway ${counts.refused}`
  );
});
