// Sees every page of the console: no serious finding of axe-core, nothing fetched from elsewhere, nothing that the content
// policy had to stop, no error on the console of the browser; and keeps a picture of each, at three widths, light and dark.
//
// Reads CONSOLE_URL, CONSOLE_KEY, CONSOLE_PAGES (JSON: name and path), CONSOLE_PICTURES (a folder, or nothing).
"use strict";

const fs = require("fs");
const path = require("path");
const { open, signIn } = require("./console_browser.js");

const SCHEMES = ["light", "dark"];
const WIDTHS = [390, 1024, 1600];
// Tags of the rules that count, as WCAG 2.2 AA has them, and the best practices.
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

async function findings(page, axe) {
  // By the debugger, which the content policy does not bind.
  await page.evaluate(axe);
  const found = await page.evaluate((tags) => axe.run(document, { runOnly: { type: "tag", values: tags } }), TAGS);
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
}

async function main() {
  const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
  const pages = [["sign-in", "/console/sign-in"], ...JSON.parse(process.env.CONSOLE_PAGES)];
  const pictures = process.env.CONSOLE_PICTURES;
  const wrong = [];
  let seen = 0;
  for (const scheme of SCHEMES) {
    const browser = await open({ colorScheme: scheme });
    const { page } = browser;
    for (const [name, where] of pages) {
      if (name !== "sign-in" && !browser.isIn) {
        await signIn(page, process.env.CONSOLE_KEY);
        browser.isIn = true;
      }
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        await page.goto(process.env.CONSOLE_URL + where);
        await page.locator("main h1").waitFor();
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (overflow > 0) wrong.push(`${name} ${scheme} ${width}: ${overflow} px wider than the window`);
        for (const one of await findings(page, axe)) {
          const nodes = one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ");
          wrong.push(`${name} ${scheme} ${width}: ${one.impact} ${one.id}: ${nodes}`);
        }
        if (pictures) {
          const file = path.join(pictures, `${name}-${width}-${scheme}.png`);
          await page.screenshot({ path: file, fullPage: true });
        }
        seen += 1;
      }
    }
    wrong.push(...(await browser.close()));
  }
  if (wrong.length) throw new Error(wrong.join("\n"));
  console.log(`ok ${pages.length} pages, ${seen} views, 0 serious findings, 0 requests elsewhere, 0 violations, 0 errors`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
