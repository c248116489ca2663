// A live journal in which a send is under way: when it ends, its row says so where it stands, and keeps the focus.
//
// Reads CONSOLE_URL, CONSOLE_KEY (an operator's), CONSOLE_SEEN (the port to connect to once the send is seen under way).
"use strict";

const net = require("net");
const { open, signIn, same } = require("./console_browser.js");

async function main() {
  const { page, close } = await open();
  await signIn(page, process.env.CONSOLE_KEY);
  const connected = page.waitForResponse((response) => response.url().includes("/console/journal/events"));
  await page.goto(`${process.env.CONSOLE_URL}/console/journal?live=1`);
  await connected;
  const row = page.locator("#rows tr", { hasText: "in progress" });
  await row.getByRole("link").focus();
  const id = await row.getAttribute("data-row");
  const before = await page.locator("#rows tr").count();
  net.connect(Number(process.env.CONSOLE_SEEN), "127.0.0.1").on("error", () => {});
  await page.locator(`#rows tr[data-row="${id}"]`, { hasText: "SUCCESS" }).waitFor();
  await page.getByText("1 send ended.").waitFor();
  same("rows", await page.locator("#rows tr").count(), before);
  same("rows under way", await row.count(), 0);
  const focused = await page.evaluate(() => document.activeElement.closest("tr")?.dataset.row);
  same("the focus", focused, id);
  const wrong = await close();
  if (wrong.length) throw new Error(wrong.join("\n"));
  console.log("ok a send ended in its place");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
