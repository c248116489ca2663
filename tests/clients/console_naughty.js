// Texts of strangers on the pages of the console: each page is parsed as a browser does, and must hold no element that is not
// ours and the text as it was written. Some of each kind are loaded as well: nothing may run, ask or be fetched.
//
// Reads CONSOLE_URL, CONSOLE_KEY, CONSOLE_STRINGS (a JSON list).
"use strict";

const { open, signIn } = require("./console_browser.js");

const HOME = process.env.CONSOLE_URL;
// So many of the pages are loaded, the others parsed.
const LOADED = 50;

// What a page must not hold, and what it shows of this selector. Runs in the browser.
async function inspect({ paths, selector }) {
  const foreign = "iframe,object,embed,video,audio,base,marquee,math,template,style,link[href*='evil'],script:not([src^='/console/assets/']),"
    + "img:not(.brand img),[formaction*='evil'],[hx-get*='evil'],[sse-connect*='evil'],[data-hx-post],a[href^='javascript' i],form[action*='evil'],meta[http-equiv]";
  const found = [];
  const texts = [];
  for (const path of paths) {
    const response = await fetch(path);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (response.status !== 200) found.push(`${path}: ${response.status}`);
    for (const element of page.querySelectorAll(foreign)) found.push(`${path}: ${element.outerHTML.slice(0, 200)}`);
    for (const element of page.querySelectorAll("*")) {
      for (const { name } of element.attributes) if (name.startsWith("on")) found.push(`${path}: ${element.outerHTML.slice(0, 200)}`);
    }
    texts.push([...page.querySelectorAll(selector)].map((element) => element.textContent));
  }
  return { found, texts };
}

// As it was written: what can't be seen is shown by its number.
function written(shown) {
  return shown.replace(/\\u\{([0-9a-f]+)\}/g, (_, number) => String.fromCodePoint(parseInt(number, 16)));
}

async function main() {
  const strings = JSON.parse(process.env.CONSOLE_STRINGS);
  const browser = await open();
  const { page, wrong } = browser;
  page.on("dialog", (dialog) => { wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
  await signIn(page, process.env.CONSOLE_KEY);
  // Every row of the journal and every access, by the links of the pages.
  const rows = [];
  let next = "/console/journal";
  while (next) {
    await page.goto(HOME + next);
    rows.push(...await page.locator("#rows th a").evaluateAll((links) => links.map((link) => link.getAttribute("href"))));
    const older = page.getByRole("link", { name: "Show older rows" });
    next = (await older.count()) ? await older.getAttribute("href") : null;
  }
  const seenRows = await page.evaluate(inspect, { paths: rows, selector: ".fields dd" });
  const accesses = strings.map((_, index) => `/console/accesses/n${index}`);
  const there = await page.evaluate(async (paths) => {
    const found = [];
    for (const path of paths) if ((await fetch(path)).status === 200) found.push(path);
    return found;
  }, accesses);
  const seenAccesses = await page.evaluate(inspect, { paths: there, selector: ".pairs.wide dd" });
  wrong.push(...seenRows.found, ...seenAccesses.found);
  // The user name of each access as it was given.
  there.forEach((path, index) => {
    const wanted = strings[Number(path.split("/n")[1])];
    const shown = seenAccesses.texts[index][0];
    if (!/\\u\{/.test(wanted) && written(shown) !== wanted) wrong.push(`${path}: ${JSON.stringify(shown)}`);
  });
  // Program names that a header can carry whole are in some row each.
  const shown = new Set(seenRows.texts.flat().map(written));
  const carried = strings.filter((text) => /^[^\p{Cc} ]([^\p{Cc}]*[^\p{Cc} ])?$/u.test(text) && [...text].length <= 100);
  const missing = carried.filter((text) => !shown.has(text));
  if (missing.length) wrong.push(`not shown as written: ${JSON.stringify(missing.slice(0, 5))}`);
  const every = Math.ceil((rows.length + there.length) / LOADED);
  const loaded = [...rows, ...there].filter((_, index) => index % every === 0);
  for (const path of ["/console/", "/console/accesses?q=alert", "/console/accesses?q=" + encodeURIComponent(strings[Math.floor(strings.length / 10)]), ...loaded]) {
    await page.goto(HOME + path);
    await page.locator("main h1").waitFor();
  }
  wrong.push(...(await browser.close()));
  if (wrong.length) throw new Error([...new Set(wrong)].slice(0, 20).join("\n"));
  console.log(`ok ${strings.length} strings on ${rows.length} rows and ${there.length} accesses, ${carried.length} program names as written, ${loaded.length} pages loaded, nothing ran`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
