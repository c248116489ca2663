// A browser that keeps account: of requests to other hosts, of what the content policy stopped, of errors on its console.
"use strict";

const fs = require("fs");
const { chromium } = require("playwright-core");

// Opens a page. `close` ends the browser and gives what was wrong.
async function open(options = {}) {
  // Root has no sandbox in Chromium; the pages are ours.
  const browser = await chromium.launch({
    executablePath: process.env.CHATGATE_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu"],
  });
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const wrong = [];
  const home = new URL(process.env.CONSOLE_URL).host;
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.host !== home) wrong.push(`a request to ${url}`);
  });
  page.on("console", (message) => {
    // A page that answers with a status of 400 or more is told there too; the stories ask for some.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of");
    if (message.type() === "error" && !isStatus) wrong.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  await page.exposeFunction("policyStopped", (what) => wrong.push(`content policy: ${what}`));
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      window.policyStopped(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  const close = async () => {
    await browser.close();
    return wrong;
  };
  return { page, context, close, wrong };
}

async function signIn(page, key) {
  await page.goto(`${process.env.CONSOLE_URL}/console/sign-in`);
  await page.getByLabel("Admin key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

function same(what, found, wanted) {
  if (found !== wanted) throw new Error(`${what}: ${JSON.stringify(found)} and not ${JSON.stringify(wanted)}`);
}

// Tags of the rules that count, as WCAG 2.2 AA has them, and the best practices.
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

function axeSource() {
  return fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
}

// What axe-core finds on the page that is serious.
async function findings(page, axe) {
  // By the debugger, which the content policy does not bind.
  if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(axe);
  const options = { runOnly: { type: "tag", values: TAGS }, resultTypes: ["violations"], preload: false };
  const found = await page.evaluate((how) => axe.run(document, how), options);
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
}

module.exports = { open, signIn, same, axeSource, findings };
