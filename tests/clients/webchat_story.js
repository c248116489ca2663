// The web chat in both directions: what is typed is read by every way in, what is sent by every way in is seen at once.
"use strict";

const { check, run } = require("./browser.js");
const call = require("./calls.js");

const SANDBOX = process.env.CHATGATE_SANDBOX;

async function type(page, text) {
  await page.getByLabel("Your message").fill(text);
  await page.keyboard.press("Enter");
  await page.locator(".ours .text", { hasText: text }).waitFor();
}

async function unread(place) {
  const answer = await call.http("getunreadmessages", place);
  return answer.result.list.map((one) => one.message);
}

run(async (browser) => {
  const visitor = await browser.page();
  await visitor.goto(`${SANDBOX}/`);
  await browser.audit(visitor, "chat-front");
  await visitor.getByRole("link", { name: "Website" }).click();
  await visitor.getByRole("heading", { name: "Website" }).waitFor();
  const destination = await visitor.locator("#visitor").textContent();
  const place = { platform: "webchat", platformid: "1", destination };
  await visitor.getByText("Live", { exact: true }).waitFor();
  await browser.audit(visitor, "chat-empty");

  const operator = await browser.page();
  await operator.goto(`${SANDBOX}/operator/`);
  for (const platform of ["Web chat", "WhatsApp", "Telegram", "Operator"]) {
    await operator.getByRole("heading", { name: platform, exact: true }).waitFor();
  }

  // From the page to the API.
  await type(visitor, "Is anybody there?");
  check((await unread(place)).join() === "Is anybody there?", "what was typed is unread by HTTP");
  const told = await call.soap("getunreadmessages", place);
  check(told.includes("<c:message>Is anybody there?</c:message>"), `what was typed is unread by SOAP: ${told}`);
  const card = operator.locator(".cards a", { hasText: destination });
  await card.getByText("1 unread").waitFor();

  // From the API to the page, which is not loaded anew.
  await visitor.evaluate(() => { window.stayed = true; });
  for (const way of ["http", "basic", "jwt"]) {
    const answer = await call[way]("sendmessage", { ...place, message: `Sent by ${way} <b>&amp;` });
    check(answer.delivery === "sent", JSON.stringify(answer));
    await visitor.locator(".theirs .text", { hasText: `Sent by ${way} <b>&amp;` }).waitFor();
  }
  const sent = await call.soap("sendmessage", { ...place, message: "Sent by soap\nin two lines" });
  check(sent.includes("sent"), sent);
  await visitor.locator(".theirs .text", { hasText: "Sent by soap" }).waitFor();
  const text = await visitor.locator(".theirs .text", { hasText: "Sent by soap" }).textContent();
  check(text === "Sent by soap\nin two lines", JSON.stringify(text));

  // Files are links, and nothing of them is loaded.
  const files = [
    ["image", "https://files.example.com/a.png?size=1&x=%22"],
    ["document", "http://files.example.com/price-list.pdf"],
  ];
  for (const [kind, fileurl] of files) {
    const answer = await call.http("sendfile", { ...place, type: kind, fileurl, thumburl: fileurl, message: `A file: ${kind}` });
    check(answer.delivery === "sent", JSON.stringify(answer));
    const link = visitor.locator(".theirs .file a", { hasText: fileurl });
    await link.waitFor();
    check((await link.getAttribute("href")) === fileurl, "the link leads to the file");
    check((await link.getAttribute("rel")).includes("noopener"), "the link gives no handle on the page");
  }
  const pictures = await visitor.locator("main img").count();
  check(pictures === 0, "no picture from outside");

  // The operator reads and answers; reading takes no mark away, getmessages does.
  await card.click();
  await operator.locator(".theirs .text", { hasText: "Is anybody there?" }).waitFor();
  check((await unread(place)).length === 1, "the operator's look leaves the mark");
  await operator.getByLabel("Your reply").fill("The front desk is.");
  await operator.getByRole("button", { name: "Send" }).click();
  await visitor.locator(".theirs .text", { hasText: "The front desk is." }).waitFor();
  await operator.locator(".ours .text", { hasText: "The front desk is." }).waitFor();
  await call.http("getmessages", place);
  check((await unread(place)).length === 0, "getmessages takes the marks away");
  check(await visitor.evaluate(() => window.stayed), "the page was never loaded anew");
  await browser.audit(visitor, "chat");
  await browser.audit(operator, "operator-chat");
  await operator.getByRole("link", { name: "All chats" }).click();
  await operator.getByText("Live", { exact: true }).waitFor();
  check((await card.getByText("unread").count()) === 0, "the list has no unread mark left");
  await browser.audit(operator, "operator");

  // A refused text comes back with the reason.
  const refused = await browser.page({}, (what) => what.includes("400"));
  await refused.goto(`${SANDBOX}/chat/1`);
  await refused.getByLabel("Your message").fill("x".repeat(16 * 1024 + 1));
  await refused.getByRole("button", { name: "Send" }).click();
  await refused.getByRole("alert").waitFor();
  check((await refused.getByLabel("Your message").inputValue()).length === 16 * 1024 + 1, "the text is kept");
  await browser.audit(refused, "chat-refused");

  // The same without JavaScript.
  const plain = await browser.page({ javaScriptEnabled: false });
  await plain.goto(`${SANDBOX}/chat/2`);
  await plain.getByLabel("Your message").fill("By a plain form");
  await plain.getByRole("button", { name: "Send" }).click();
  await plain.locator(".ours .text", { hasText: "By a plain form" }).waitFor();
  const name = await plain.locator("#visitor").textContent();
  const other = { platform: "webchat", platformid: "2", destination: name };
  check((await unread(other)).join() === "By a plain form", "a plain form sends");
  await call.http("sendmessage", { ...other, message: "Answered" });
  await plain.getByRole("link", { name: "Check for new messages" }).click();
  await plain.locator(".theirs .text", { hasText: "Answered" }).waitFor();

  // By keyboard alone: past the skip link and the pages to the field, and back.
  await visitor.reload();
  await visitor.keyboard.press("Tab");
  check((await visitor.evaluate(() => document.activeElement.className)) === "skip", "the first stop skips the head");
  await visitor.keyboard.press("Enter");
  for (let stops = 0; stops < 20; stops += 1) {
    await visitor.keyboard.press("Tab");
    if ((await visitor.evaluate(() => document.activeElement.id)) === "message") break;
  }
  await visitor.keyboard.type("By keyboard");
  await visitor.keyboard.press("Enter");
  await visitor.locator(".ours .text", { hasText: "By keyboard" }).waitFor();
  check((await unread(place)).join() === "By keyboard", "the keyboard sends");
  return "a talk in both directions by 4 ways in";
});
