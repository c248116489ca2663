// A browser for the tests: Debian's Chromium that notes whatever leaves the machine, breaks the page's policy or is told
// on its console. Used by the programs beside this file.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const zlib = require("node:zlib");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const WIDTHS = [390, 1024, 1600];
const SCHEMES = ["light", "dark"];

// Those of axe-core's default rules that look at colours.
const COLOUR_RULES = ["color-contrast", "link-in-text-block"];

// Most of a page with all that it loads, in bytes as compressed for the way.
const PAGE_BYTES_MAX = 150 * 1024;

function check(holds, what) {
  if (!holds) throw new Error(what);
}

class Browser {
  static async start() {
    const browser = await chromium.launch({
      executablePath: process.env.CHATGATE_CHROMIUM,
      // What is not on this machine has no address at all.
      args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    });
    return new Browser(browser);
  }

  constructor(browser) {
    this.browser = browser;
    this.faults = [];
    this.requests = 0;
    this.audits = 0;
    this.findings = 0;
    this.screenshots = 0;
    this.heaviest = 0;
  }

  // A page with cookies of its own. Faults of a status that is expected are named in `expected`.
  async page(options = {}, expected = () => false) {
    const context = await this.browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(20000);
    page.weights = new Map();
    const fault = (what) => {
      if (!expected(what)) this.faults.push(what);
    };
    context.on("request", (request) => {
      this.requests += 1;
      const { protocol, hostname } = new URL(request.url());
      if (hostname !== "127.0.0.1" || protocol !== "http:") fault(`left the machine: ${request.url()}`);
    });
    page.on("response", async (response) => {
      if ((response.headers()["content-type"] || "").startsWith("text/event-stream")) return;
      const body = await response.body().catch(() => Buffer.alloc(0));
      page.weights.set(response.url(), zlib.gzipSync(body).length);
    });
    page.on("console", (message) => {
      if (message.type() === "error") fault(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => fault(`script: ${error}`));
    page.on("dialog", (dialog) => {
      fault(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    if (options.javaScriptEnabled !== false) {
      await context.exposeBinding("tellFault", (_, what) => fault(what));
      await context.addInitScript(() => {
        addEventListener("securitypolicyviolation", (event) =>
          window.tellFault(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
      });
    }
    return page;
  }

  // The page as it is at every width in both schemes: no serious finding of axe's, nothing wider than the window. Pictures are
  // kept with CHATGATE_LOAD=full.
  async audit(page, name) {
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: width < 800 ? 844 : 900 });
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(over <= 0, `${name} is ${over} pixels wider than ${width}`);
        await this.shoot(page, `${name}-${width}-${colorScheme}`);
      }
      // Not injected as a script element, which the policy forbids.
      if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(axe);
      // A scheme changes nothing but colours, so that the other rules need only look once.
      const rules = colorScheme === SCHEMES[0] ? {} : { runOnly: COLOUR_RULES };
      const options = { ...rules, resultTypes: ["violations"], preload: false };
      const { violations } = await page.evaluate((how) => window.axe.run(how), options);
      this.audits += 1;
      for (const { id, impact, help, nodes } of violations) {
        const where = nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ");
        const text = `${name}, ${colorScheme}: ${impact} ${id}: ${help} (${where})`;
        if (["serious", "critical"].includes(impact)) this.faults.push(text);
        else console.log(`note: ${text}`);
        this.findings += 1;
      }
    }
    const weight = [...page.weights.values()].reduce((sum, bytes) => sum + bytes, 0);
    this.heaviest = Math.max(this.heaviest, weight);
    check(weight <= PAGE_BYTES_MAX, `${name} weighs ${weight} bytes`);
  }

  async shoot(page, name) {
    const folder = process.env.CHATGATE_SCREENSHOTS;
    if (process.env.CHATGATE_LOAD !== "full") return;
    fs.mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
    this.screenshots += 1;
  }

  async end() {
    await this.browser.close();
    check(this.faults.length === 0, `${this.faults.length} faults:\n${this.faults.slice(0, 20).join("\n")}`);
    const kib = (this.heaviest / 1024).toFixed(1);
    console.log(
      `${this.requests} requests, 0 left the machine, 0 broke the policy, 0 errors; ` +
        `${this.audits} audits, ${this.findings} findings, none serious; ` +
        `${this.screenshots} screenshots; heaviest page ${kib} KiB compressed`,
    );
  }
}

// Runs a program; its last line is "ok …".
async function run(program) {
  const browser = await Browser.start();
  try {
    const done = await program(browser);
    await browser.end();
    console.log(`ok ${done}`);
  } catch (error) {
    console.error(error.stack || error);
    for (const fault of browser.faults.slice(0, 20)) console.error(fault);
    await browser.browser.close();
    process.exitCode = 1;
  }
}

module.exports = { check, run };
