// The overview by keyboard while it moves: a link keeps the focus, Pause stops what moves, and an alert is put in once.
//
// Reads CONSOLE_URL, CONSOLE_KEY (an operator's), CONSOLE_STORE (the store's file, if there is one).
"use strict";

const fs = require("fs");
const { open, signIn, same } = require("./console_browser.js");

// Marks what is shown now; it is gone once something else is put in.
const mark = (page, id) => page.evaluate((place) => { document.getElementById(place).firstElementChild.dataset.marked = "1"; }, id);
const marked = (page, id) => page.locator(`#${id} > [data-marked]`);

// Waits until the figures have come so many times, shown or not.
const figures = (page, times) => page.evaluate((left) => new Promise((done) => {
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.target.id === "counts" && (left -= 1) === 0) done();
  });
}), times);

async function keepFocus(page) {
  for (const link of [page.locator("#counts .bars a").first(), page.getByRole("link", { name: /Health$/ }).last()]) {
    await link.focus();
    const id = await link.getAttribute("id");
    await mark(page, "counts");
    await marked(page, "counts").waitFor({ state: "detached" });
    same("the focus", await page.evaluate(() => document.activeElement.id), id);
  }
}

async function pause(page) {
  await page.getByRole("button", { name: "Pause" }).press("Enter");
  for (const id of ["now", "counts"]) await mark(page, id);
  await figures(page, 2);
  for (const id of ["now", "counts"]) same(`${id} while paused`, await marked(page, id).count(), 1);
  await page.getByRole("button", { name: "Continue" }).press("Enter");
  for (const id of ["now", "counts"]) await marked(page, id).waitFor({ state: "detached" });
}

async function alert(page, store) {
  const place = page.getByRole("alert");
  same("alerts before", await place.count(), 0);
  fs.renameSync(store, `${store}.aside`);
  await place.getByText("The gateway accepts no calls: store_failing.").waitFor();
  await page.evaluate(() => {
    window.changes = 0;
    const observer = new MutationObserver((all) => { window.changes += all.length; });
    observer.observe(document.querySelector("[role=alert]"), { childList: true, characterData: true, subtree: true });
  });
  await figures(page, 2);
  same("the same alert put in again", await page.evaluate(() => window.changes), 0);
  fs.renameSync(`${store}.aside`, store);
  await place.waitFor({ state: "hidden" });
}

async function main() {
  const { page, close } = await open();
  await signIn(page, process.env.CONSOLE_KEY);
  await keepFocus(page);
  await pause(page);
  if (process.env.CONSOLE_STORE) await alert(page, process.env.CONSOLE_STORE);
  const wrong = await close();
  if (wrong.length) throw new Error(wrong.join("\n"));
  console.log("ok the focus stays, what moves can be stopped, an alert is put in once");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
