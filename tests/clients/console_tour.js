// Sees every page of the console in every state: no serious finding of axe-core, nothing fetched from elsewhere, nothing that
// the content policy had to stop, no error on the console of the browser, nothing wider than the window at three widths, light
// and dark. With CHATGATE_LOAD=full, axe-core judges each of these views and a picture of each is kept; else it judges the
// narrowest light one and the widest dark one, which between them have both layouts and both sets of colours.
//
// Reads CONSOLE_URL, CONSOLE_KEY, CONSOLE_PAGES (JSON: name and path), CONSOLE_PICTURES (a folder), and, for the
// states besides, CONSOLE_VIEWER (a viewer's key) and CONSOLE_CONFIGURATION (the gateway's file, which is spoilt).
"use strict";

const path = require("path");
const { open, signIn, axeSource, findings } = require("./console_browser.js");
const { OPERATOR, VIEWER, NOBODY } = require("./console_states.js");

const SCHEMES = ["light", "dark"];
const WIDTHS = [390, 1024, 1600];

const IS_FULL = process.env.CHATGATE_LOAD === "full";

function isJudged(colorScheme, width) {
  return IS_FULL || `${colorScheme} ${width}` === "light 390" || `${colorScheme} ${width}` === "dark 1600";
}

// What of which page is the README's picture of the console; docs/ holds a copy.
const FRONT = { page: "overview", width: 1024, height: 640 };

class Tour {
  constructor(axe, pictures) {
    Object.assign(this, { axe, pictures, wrong: [], seen: 0, views: 0, judged: 0 });
  }

  // Everything that one person sees, with a key or without.
  async of(key, all) {
    const browser = await open();
    browser.page.setDefaultTimeout(10000);
    if (key) await signIn(browser.page, key);
    for (const [name, reach] of all) {
      try {
        await reach(browser.page);
        await browser.page.locator("main h1").waitFor();
      } catch (error) {
        const told = await browser.page.locator("main").innerText();
        this.wrong.push(`${name} is out of reach: ${error}\n${told.slice(0, 500)}`);
      }
      await this.look(browser.page, name);
    }
    this.wrong.push(...(await browser.close()));
  }

  async look(page, name) {
    this.seen += 1;
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (overflow > 0) this.wrong.push(`${name} ${colorScheme} ${width}: ${overflow} px wider than the window`);
        const judged = isJudged(colorScheme, width) ? await findings(page, this.axe) : [];
        for (const one of judged) {
          const nodes = one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ");
          this.wrong.push(`${name} ${colorScheme} ${width}: ${one.impact} ${one.id}: ${nodes}`);
        }
        await this.picture(page, name, colorScheme, width);
        this.views += 1;
        this.judged += isJudged(colorScheme, width) ? 1 : 0;
      }
    }
  }

  async picture(page, name, colorScheme, width) {
    if (IS_FULL) {
      await page.screenshot({ path: path.join(this.pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
    if (name === FRONT.page && width === FRONT.width) {
      const clip = { x: 0, y: 0, width: FRONT.width, height: FRONT.height };
      await page.screenshot({ path: path.join(this.pictures, `console-${colorScheme}.png`), clip });
    }
  }
}

async function main() {
  const tour = new Tour(axeSource(), process.env.CONSOLE_PICTURES);
  const there = (where) => (page) => page.goto(process.env.CONSOLE_URL + where);
  const pages = JSON.parse(process.env.CONSOLE_PAGES).map(([name, where]) => [name, there(where)]);
  const { CONSOLE_KEY: operator, CONSOLE_VIEWER: viewer } = process.env;
  await tour.of(null, [["sign-in", there("/console/sign-in")]]);
  await tour.of(operator, pages);
  if (viewer) {
    await tour.of(operator, OPERATOR);
    await tour.of(viewer, VIEWER);
    await tour.of(null, NOBODY);
  }
  if (tour.wrong.length) throw new Error(tour.wrong.join("\n"));
  console.log(`ok ${tour.seen} pages and states, ${tour.views} views, ${tour.judged} judged by axe-core, 0 serious findings, 0 requests elsewhere, 0 violations, 0 errors`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
