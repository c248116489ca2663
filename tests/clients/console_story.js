// A story of an operator, from signing in to a caller who is refused; and what a viewer may, and who has no JavaScript.
//
// Reads CONSOLE_URL, CONSOLE_KEY (an operator's), CONSOLE_VIEWER (a viewer's).
"use strict";

const { spawnSync } = require("child_process");
const { open, signIn, same } = require("./console_browser.js");

const HOME = process.env.CONSOLE_URL;

// Runs the sample and gives its status and what it said.
function run(sample, secret) {
  const ran = spawnSync("sh", ["-c", sample], {
    env: { PATH: process.env.PATH, CHATGATE_PASSWORD: secret },
    encoding: "utf8",
  });
  return { status: ran.status, said: ran.stdout + ran.stderr };
}

async function copied(page, id, name) {
  await page.getByRole("button", { name }).click();
  await page.locator(`[data-copy=${id}]`, { hasText: "Copied" }).waitFor();
  return page.evaluate(() => navigator.clipboard.readText());
}

async function makeAccess(page) {
  await page.getByRole("link", { name: "Accesses" }).click();
  await page.getByRole("link", { name: "New access" }).click();
  await page.getByLabel("Name", { exact: true }).fill("story access");
  await page.getByLabel("Allowed networks").fill("127.0.0.1");
  await page.getByRole("button", { name: "Create access" }).click();
  // A mistake is told beside its field, and nothing that was typed is lost.
  await page.locator("#name-wrong").waitFor();
  same("the field again", await page.getByLabel("Allowed networks").inputValue(), "127.0.0.1");
  await page.getByLabel("Name", { exact: true }).fill("story");
  await page.getByRole("button", { name: "Create access" }).click();
  await page.getByRole("heading", { name: "The access was created" }).waitFor();
  const secret = await copied(page, "secret", "Copy the secret");
  const sample = await copied(page, "sample-text", "Copy the sample");
  if (!secret.startsWith("cgs_")) throw new Error("the secret was not copied");
  return { secret, sample };
}

async function followRow(context, page, { secret, sample }) {
  await page.getByRole("link", { name: "Journal" }).click();
  const connected = page.waitForResponse((response) => response.url().includes("/console/journal/events"));
  await page.getByRole("link", { name: "Follow live" }).click();
  await connected;
  const newest = await page.locator("#rows tr").first().getAttribute("data-row");
  const ran = run(sample, secret);
  if (ran.status !== 0) throw new Error(`the sample failed: ${ran.said}`);
  const id = await page.waitForFunction((before) => {
    const rows = [...document.querySelectorAll("#rows tr")].filter((row) => row.dataset.row > before);
    const row = rows.find((row) => row.innerText.includes("sendmessage") && row.innerText.includes("story"));
    return row && row.dataset.row;
  }, newest);
  const row = page.locator(`#rows tr[data-row="${await id.jsonValue()}"]`);
  same("the row's outcome", (await row.locator(".badge").innerText()).trim(), "200 SUCCESS");
  await page.getByText(/arrived/).waitFor();
  await row.getByRole("link").click();
  await page.getByRole("heading", { name: "Durations" }).waitFor();
  const text = await page.locator("main").innerText();
  for (const wanted of ["127.0.0.1", "sendmessage", "platform=whatsapp", "sent", "Show all calls of story"]) {
    if (!text.includes(wanted)) throw new Error(`the row does not tell ${wanted}: ${text}`);
  }
}

async function changeNetworks(page) {
  await page.goto(`${HOME}/console/accesses/story`);
  const preview = page.locator("#preview");
  await page.getByLabel("Allowed networks").fill("192.0.2.0/24");
  await page.getByRole("button", { name: "Preview" }).click();
  await preview.getByText("The change would reject accepted calls.").waitFor();
  const refused = await preview.innerText();
  if (!/Newly rejected by networks\s+1/.test(refused)) throw new Error(`the preview: ${refused}`);
  await page.getByLabel("Allowed networks").fill("127.0.0.1\n192.0.2.0/24");
  await page.getByRole("button", { name: "Preview" }).click();
  await preview.getByText("The change would not reject any accepted call.").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  const networks = await page.getByLabel("Allowed networks").inputValue();
  same("the networks", networks, "127.0.0.1/32\n192.0.2.0/24");
  const history = await page.locator(".changes").innerText();
  if (!history.includes("192.0.2.0/24")) throw new Error(`the history: ${history}`);
}

async function explain(page) {
  await page.getByRole("link", { name: "Explain" }).click();
  await page.getByLabel("Address of the peer").fill("203.0.113.7");
  await page.getByLabel("Access", { exact: true }).fill("story");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("The call would be rejected with 403 IP_NOT_ALLOWED").waitFor();
  const decided = await page.locator("tr.decided").innerText();
  if (!decided.includes("access networks")) throw new Error(`what decided: ${decided}`);
}

async function suspend(page, { secret, sample }) {
  await page.goto(`${HOME}/console/accesses/story`);
  await page.getByRole("button", { name: "Suspend" }).click();
  await page.getByText("Saved.").waitFor();
  await page.locator("h1", { hasText: "suspended" }).waitFor();
  const ran = run(sample, secret);
  if (ran.status === 0 || !ran.said.includes("ACCESS_DISABLED")) throw new Error(`a suspended access: ${ran.said}`);
}

// The other languages are there, by one request for a piece of the page.
async function chooseLanguage(page) {
  await page.getByLabel("Language").selectOption("python");
  await page.getByText("python3 sample.py", { exact: false }).waitFor();
  // A person takes longer than the new piece of the page does to hear of a choice.
  await page.waitForFunction(() => !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"));
  await page.getByLabel("Way in").selectOption("jwt");
  await page.getByText("CHATGATE_CLIENT_SECRET").first().waitFor();
}

// The session ends while a page is open: neither a script nor a form loses that unsaid, and the way back leads to the page.
async function endSession(context, page) {
  const address = `${HOME}/console/accesses/demo`;
  for (const button of ["Preview", "Save"]) {
    await page.goto(address);
    await context.clearCookies();
    await page.getByRole("button", { name: button }).click();
    await page.getByText("Your session has ended. Nothing was changed.").waitFor();
    await page.getByLabel("Admin key").fill(process.env.CONSOLE_KEY);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByLabel("Allowed networks").waitFor();
    same("after signing in again", page.url(), address);
  }
}

async function operator() {
  const browser = await open({ permissions: ["clipboard-read", "clipboard-write"] });
  const { page, context } = browser;
  await signIn(page, process.env.CONSOLE_KEY);
  const made = await makeAccess(page);
  await followRow(context, page, made);
  await changeNetworks(page);
  await chooseLanguage(page);
  await explain(page);
  await suspend(page, made);
  await endSession(context, page);
  // The overview moves by itself: what it counts now was not there when it was opened.
  await page.goto(`${HOME}/console/`);
  const refusals = page.locator("#counts tr", { hasText: "ACCESS_DISABLED" });
  const before = await refusals.locator("td").first().innerText();
  run(made.sample, made.secret);
  await page.waitForFunction((was) => {
    const rows = [...document.querySelectorAll("#counts tr")];
    return rows.some((row) => row.innerText.includes("ACCESS_DISABLED") && row.cells[1].innerText !== was);
  }, before);
  await refusals.getByRole("link").click();
  await page.locator("#rows tr", { hasText: "ACCESS_DISABLED" }).first().waitFor();
  await page.getByText("first", { exact: false }).first().click();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.goto(`${HOME}/console/journal`);
  same("after signing out", new URL(page.url()).pathname, "/console/sign-in");
  return browser.close();
}

async function viewer() {
  const browser = await open();
  const { page } = browser;
  await signIn(page, process.env.CONSOLE_VIEWER);
  for (const path of ["/console/accesses", "/console/accesses/story", "/console/journal", "/console/status"]) {
    await page.goto(HOME + path);
    for (const name of ["New access", "Save", "Preview", "Suspend", "Resume", "Create new secret", "Delete…", "Reload configuration", "Create signing key"]) {
      same(`${name} on ${path}`, await page.getByRole("button", { name }).count(), 0);
      same(`${name} on ${path}`, await page.getByRole("link", { name }).count(), 0);
    }
  }
  await page.goto(`${HOME}/console/accesses/story`);
  same("the fields", await page.getByLabel("Allowed networks").isDisabled(), true);
  const refused = await page.goto(`${HOME}/console/accesses/new`);
  same("the form", refused.status(), 403);
  return browser.close();
}

async function withoutScript() {
  const browser = await open({ javaScriptEnabled: false });
  const { page } = browser;
  await signIn(page, process.env.CONSOLE_KEY);
  await page.goto(`${HOME}/console/accesses/story`);
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("Saved.").waitFor();
  await page.getByLabel("Allowed networks").fill("198.51.100.0/24");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByText("The change would reject accepted calls.").waitFor();
  same("the field again", await page.getByLabel("Allowed networks").inputValue(), "198.51.100.0/24");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  await page.getByLabel("Language").selectOption("php");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("<?php").waitFor();
  await page.goto(`${HOME}/console/journal?access=story&status=SUCCESS`);
  same("its rows", await page.locator("#rows tr").count(), 1);
  await page.goto(`${HOME}/console/accesses/story`);
  await page.getByRole("link", { name: "Delete…" }).click();
  await page.getByRole("heading", { name: "Delete story?" }).waitFor();
  await page.getByRole("button", { name: "Delete story" }).click();
  await page.getByText("story is deleted.").waitFor();
  await page.goto(`${HOME}/console/status`);
  await page.getByRole("button", { name: "Reload configuration" }).click();
  await page.getByText("The configuration was reloaded.").waitFor();
  for (const name of ["Overview", "Health"]) {
    await page.getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { name, exact: true }).waitFor();
    await page.getByRole("link", { name: "1 week", exact: true }).click();
    await page.locator(".windows [aria-current]", { hasText: "1 week" }).waitFor();
  }
  return browser.close();
}

async function main() {
  const wrong = [...(await operator()), ...(await viewer()), ...(await withoutScript())];
  if (wrong.length) throw new Error(wrong.join("\n"));
  console.log("ok 3 stories, 0 requests elsewhere, 0 violations, 0 errors");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
