// An incident at night: the upstream is slow, an access is refused because it calls from a new network, and a certificate is about
// to expire. A person who opens the page Health finds each cause there, and in two clicks the page that names it.
//
// Reads CONSOLE_URL, CONSOLE_KEY, CONSOLE_ACCESS (the refused access), CONSOLE_ADDRESS (its new address).
"use strict";

const { open, signIn, axeSource, findings } = require("./console_browser.js");

const { CONSOLE_URL: HOME, CONSOLE_ACCESS: ACCESS, CONSOLE_ADDRESS: ADDRESS } = process.env;
const HEALTH = `${HOME}/console/health`;
const CLICKS_MAX = 2;
const TIME = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/;
const VIEWS = [["light", 390], ["dark", 1280]];

const section = (page, name) => page.getByRole("region", { name, exact: true });
const refusal = (page) => section(page, "Rejected and failed calls").first().getByRole("row", { name: ACCESS });

// What a person looks for: what Health says of it already, and the clicks from there with what the page reached says.
const CAUSES = [
  {
    name: "the access that calls from a new network",
    seen: refusal,
    says: ["IP_NOT_ALLOWED", ACCESS, ADDRESS, "access networks", TIME],
    clicks: [
      { link: (page) => refusal(page).getByRole("link", { name: "IP_NOT_ALLOWED" }), says: ["Journal", "IP_NOT_ALLOWED", ACCESS, ADDRESS, TIME] },
      { link: (page) => page.locator("#rows tr").first().getByRole("link"), says: ["access networks", ACCESS, ADDRESS, "IP_NOT_ALLOWED", TIME] },
    ],
  },
  {
    name: "the rules of that access",
    seen: refusal,
    says: [ACCESS],
    clicks: [{ link: (page) => refusal(page).getByRole("link", { name: ACCESS }), says: [`${ACCESS} active`, "Allowed networks", "Last day"] }],
  },
  {
    name: "the slow upstream",
    seen: (page) => section(page, "Upstream"),
    says: ["50 % of answers within", /Slowest call\s+1\.[3-9]\d s/],
    clicks: [{ link: (page) => section(page, "Upstream").getByRole("link"), says: ["Durations", /upstream\s+1\.[3-9]\d s/, ACCESS, TIME] }],
  },
  {
    name: "the certificate that is about to expire",
    seen: (page) => section(page, "Certificates"),
    says: [/expires in 2 days, at/, TIME],
    clicks: [{ link: (page) => section(page, "Certificates").getByRole("link"), says: [/Certificate of the public listener\s+expires at/, TIME] }],
  },
];

class Search {
  constructor(browser, axe) {
    Object.assign(this, { page: browser.page, wrong: browser.wrong, axe, judged: new Set() });
  }

  async says(what, where, texts) {
    const text = await where.innerText();
    for (const wanted of texts) {
      const is = wanted instanceof RegExp ? wanted.test(text) : text.includes(wanted);
      if (!is) this.wrong.push(`${what} does not say ${wanted}: ${text}`);
    }
  }

  // Each page that is reached is judged, once.
  async judge() {
    const { pathname } = new URL(this.page.url());
    if (this.judged.has(pathname)) return;
    this.judged.add(pathname);
    for (const [colorScheme, width] of VIEWS) {
      await this.page.emulateMedia({ colorScheme });
      await this.page.setViewportSize({ width, height: 900 });
      const overflow = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) this.wrong.push(`${pathname} ${width}: ${overflow} px wider than the window`);
      for (const one of await findings(this.page, this.axe)) {
        this.wrong.push(`${pathname} ${colorScheme} ${width}: ${one.impact} ${one.id}: ${one.nodes[0].target.join(" ")}`);
      }
    }
  }

  async find({ name, seen, says, clicks }) {
    if (clicks.length > CLICKS_MAX) this.wrong.push(`${name} is ${clicks.length} clicks away`);
    await this.page.goto(HEALTH);
    await this.judge();
    await this.says(`Health, of ${name},`, seen(this.page), says);
    for (const click of clicks) {
      const before = this.page.url();
      await click.link(this.page).click();
      await this.page.waitForURL((url) => url.href !== before);
      await this.page.locator("main h1").waitFor();
      await this.judge();
      await this.says(`${this.page.url()}, of ${name},`, this.page.locator("main"), click.says);
    }
  }
}

async function main() {
  const browser = await open();
  browser.page.setDefaultTimeout(10000);
  await signIn(browser.page, process.env.CONSOLE_KEY);
  const search = new Search(browser, axeSource());
  for (const cause of CAUSES) await search.find(cause);
  const wrong = await browser.close();
  if (wrong.length) throw new Error(wrong.join("\n"));
  console.log(`ok ${CAUSES.length} causes in at most ${CLICKS_MAX} clicks, ${search.judged.size} pages judged by axe-core, 0 serious findings`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
