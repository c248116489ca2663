// The documentation pages as a reader goes through them.
"use strict";

const { check, run } = require("./browser.js");

const GATEWAY = process.env.CHATGATE_URL;

// The button takes the whole program; without a script there is no button, and nothing is missing.
async function copies(browser, program) {
  const where = "/docs/samples?language=python&way=jwt&method=sendfile";
  const page = await browser.page({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(GATEWAY + where);
  await page.getByRole("button", { name: "Copy" }).click();
  await page.getByText("Copied.").waitFor();
  check((await page.evaluate(() => navigator.clipboard.readText())) === program, "the copied program");
  await browser.audit(page, "docs-samples-copied");
  const plain = await browser.page({ javaScriptEnabled: false });
  await plain.goto(GATEWAY + where);
  check((await plain.locator("#program").textContent()) === program, "the program without a script");
  check(!(await plain.getByRole("button", { name: "Copy" }).isVisible()), "a button that does nothing");
}

run(async (browser) => {
  const page = await browser.page();
  await page.goto(`${GATEWAY}/docs/`);
  const pages = ["Ways in", "Operations", "Codes", "Events", "Samples", "OpenAPI"];
  for (const name of pages) {
    await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { level: 1 }).waitFor();
    check((await page.title()).startsWith(name), `the page is ${name}`);
    page.weights.clear();
    await page.reload();
    await browser.audit(page, `docs-${name.toLowerCase().replaceAll(" ", "-")}`);
  }
  // A sample is chosen, and can be taken whole.
  await page.goto(`${GATEWAY}/docs/operations`);
  await page.getByRole("link", { name: "Samples for sendfile" }).click();
  await page.getByLabel("Language").selectOption("Python");
  await page.getByLabel("Way in").selectOption("JWT");
  await page.getByRole("button", { name: "Show" }).click();
  const program = await page.locator("#program").textContent();
  check(program.includes("sendfile") && program.includes(`${GATEWAY}`), program);
  await copies(browser, program);
  // From an operation to the code it may end with.
  await page.goto(`${GATEWAY}/docs/operations`);
  await page.getByRole("link", { name: "INCORRECT_THUMBURL" }).click();
  await page.locator("tr:target", { hasText: "thumbnail" }).waitFor();
  // Every link of the pages leads somewhere.
  const links = new Set();
  for (const path of ["", "operations", "codes", "events", "samples", "openapi"]) {
    await page.goto(`${GATEWAY}/docs/${path}`);
    for (const link of await page.locator("a").evaluateAll((all) => all.map((one) => one.href))) links.add(link.split("#")[0]);
  }
  for (const link of links) {
    const { status } = await fetch(link);
    check(status === 200, `${link} answers ${status}`);
  }
  return `${pages.length} pages, ${links.size} links that lead somewhere`;
});
