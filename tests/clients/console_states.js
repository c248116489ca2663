// What the console's pages look like besides the way in which they are opened: after a form, with a mistake in it, refused,
// empty. Each state is its name, who sees it, and the way there; states follow one another, since some make what others show.
"use strict";

const fs = require("fs");

const HOME = process.env.CONSOLE_URL;

const goto = (path) => (page) => page.goto(HOME + path);

// Sends the form of a button as a browser without a script does.
const press = (name) => (page) => page.getByRole("button", { name, exact: true }).evaluate((button) => {
  if (button.hasAttribute("formaction")) button.form.action = button.getAttribute("formaction");
  button.form.submit();
});

const steps = (...all) => async (page) => {
  for (const step of all) await step(page);
};

const fill = (fields) => async (page) => {
  for (const [name, value] of Object.entries(fields)) await page.locator(`[name=${name}]`).fill(value);
};

const click = (name) => (page) => page.getByRole("button", { name, exact: true }).click();

const says = (text) => (page) => page.getByText(text).first().waitFor();

const hidden = (name, value) => (page) => page.locator(`main [name=${name}][type=hidden]`)
  .evaluateAll((fields, text) => fields.forEach((field) => { field.value = text; }), value);

// Previews what the form says, with a script.
const preview = (fields, text) => steps(goto("/console/accesses/demo"), fill(fields), click("Preview"), says(text));

const row = (query, text) => async (page) => {
  await page.goto(`${HOME}/console/journal?${query}`);
  await page.locator("#rows tr", { hasText: text }).first().getByRole("link").click();
  await page.getByRole("heading", { name: "Metadata" }).waitFor();
};

const WRONG = {
  allow: "127.0.0.1/8\nnowhere", deny: "300.1.1.1", rate: "often", per_day: "0", per_destination: "-1",
  expires: "tomorrow", not_before: "yesterday", concurrent: "0", channels: "nothing", getchats_s: "soon", owner: "x".repeat(1025), note: "y".repeat(1025),
};

const OPERATOR = [
  ["menu", steps(goto("/console/status"), (page) => page.locator(".who summary").click())],
  ["accesses-not-found", goto("/console/accesses?q=nobody+has+this+name")],
  ["access-new-wrong", steps(
    goto("/console/accesses/new"), fill({ ...WRONG, name: "right", user: "u".repeat(300) }), click("Create access"),
    says("Some fields have mistakes."),
  )],
  ["access-new-taken", steps(
    goto("/console/accesses/new"), fill({ name: "demo", allow: "any" }), click("Create access"), says("There is already an access with this name."),
  )],
  ["access-made", steps(
    goto("/console/accesses/new"),
    fill({ name: "states", user: "states", allow: "192.0.2.0/24\n2001:db8::/32", owner: "Shop", note: "Orders and answers" }),
    click("Create access"), says("shown only once"),
  )],
  ["access-never-used", goto("/console/accesses/states")],
  ["access-new-secret", steps(goto("/console/accesses/states"), click("Create new secret"), says("shown only once"))],
  ["access-saved", steps(
    goto("/console/accesses/states"), fill({ allow: "192.0.2.0/25", rate: "60", note: "Orders" }), click("Save"), says("Saved."),
  )],
  ["access-wrong", steps(
    goto("/console/accesses/states"), fill(WRONG), click("Save"), says("Some fields have mistakes."),
  )],
  ["access-stale", steps(
    goto("/console/accesses/states"), hidden("version", "1"), click("Save"), says("Open the current version"),
  )],
  ["access-suspended", steps(goto("/console/accesses/states"), click("Suspend"), says("Resume"))],
  ["access-out-of-time", steps(
    goto("/console/accesses/states"), click("Resume"), says("Suspend"),
    fill({ expires: "2020-01-31T12:00:00Z" }), click("Save"), says("not valid now"),
  )],
  ["accesses-states", goto("/console/accesses")],
  ["access-no-sample", goto("/console/accesses/demo?language=sqlserver&way=soap")],
  ["access-delete", steps(goto("/console/accesses/states"), (page) => page.getByRole("link", { name: "Delete…" }).click(),
    says("Cancel"))],
  ["access-delete-stale", steps(
    goto("/console/accesses/states/delete"), hidden("version", "1"), click("Delete states"),
    (page) => page.getByRole("alert").waitFor(),
  )],
  ["access-missing", goto("/console/accesses/missing")],
  ["preview-harmless", preview({ rate: "1000" }, "The change would not reject any accepted call.")],
  ["preview-networks", preview({ allow: "192.0.2.0/24" }, "The change would reject accepted calls.")],
  ["preview-limits", preview({ rate: "40", per_destination: "2", concurrent: "1", per_day: "2" }, "The change would reject accepted calls.")],
  ["preview-wrong", preview({ allow: "nowhere" }, "nowhere")],
  ["preview-without-script", steps(
    goto("/console/accesses/demo"), fill({ allow: "192.0.2.0/24" }), press("Preview"), says("nothing is changed yet"),
  )],
  ["preview-wrong-without-script", steps(
    goto("/console/accesses/demo"), fill({ allow: "nowhere" }), press("Preview"), says("nowhere"),
  )],
  ["form-of-no-session", steps(
    goto("/console/accesses/states"), hidden("token", "wrong"), click("Save"), says("does not belong to this session"),
  )],
  ["wrong-method", goto("/console/accesses/demo/rotate")],
  ["journal-none", goto("/console/journal?request_id=nothing")],
  ["journal-wrong", goto("/console/journal?since=yesterday&ip=nowhere&delivery=lost")],
  ["journal-older", goto("/console/journal?access=demo")],
  ["journal-paused", steps(goto("/console/journal?live=1"), click("Pause"), says("Continue"))],
  ["row-refused", row("access=demo", "INCORRECT_METHOD")],
  ["row-change", row("access=states", "change")],
  ["row-missing", goto("/console/journal/rows/0")],
  ["accesses-deleted", steps(goto("/console/accesses/states/delete"), click("Delete states"), says("states is deleted."))],
  ["status-reloaded", steps(goto("/console/status"), click("Reload configuration"), says("The configuration was reloaded."))],
  ["status-reload-refused", async (page) => {
    fs.writeFileSync(process.env.CONSOLE_CONFIGURATION, "[limits]\nper_address_per_minute = \"many\"\n[unknown]\nkey = 1\n");
    await steps(goto("/console/status"), click("Reload configuration"), says("line 2, column"))(page);
  }],
  ["status-rotated", steps(goto("/console/status"), click("Create signing key"), says("A new key signs tokens."))],
  ["status-not-rotated", async (page) => {
    for (let n = 0; n < 100 && !(await page.getByRole("alert").count()); n += 1) {
      await goto("/console/status")(page);
      await click("Create signing key")(page);
      await page.locator("[role=status], [role=alert]").first().waitFor();
    }
  }],
  ["webhooks-none", goto("/console/webhooks")],
  ["webhook-refused", steps(
    goto("/console/webhooks"), fill({ access: "demo", url: "https://127.0.0.1/" }), click("Create webhook"),
    (page) => page.getByRole("alert").waitFor(),
  )],
  ["webhook-made", steps(
    goto("/console/webhooks"), fill({ access: "demo", url: "https://hooks.example.com/in" }),
    // Two presses create one webhook: the steps below find a single link to it.
    (page) => page.getByRole("button", { name: "Create webhook", exact: true }).dblclick(), says("shown only once"),
  )],
  ["webhook", steps((page) => page.getByRole("link", { name: "Go to the webhook" }).click(), says("Latest attempts"))],
  ["webhook-paused", steps(click("Pause"), says("by an operator"))],
  ["webhook-stale", steps(hidden("version", "0"), click("Save"), says("Open the current version"))],
  ["webhook-skip", steps(
    (page) => page.getByRole("link", { name: "Open the current version" }).click(),
    (page) => page.getByRole("link", { name: "Resume from now on…" }).click(), says("Cancel"),
  )],
  ["webhook-skipped", steps(click("Resume from now on"), says("The webhook was resumed from now on."))],
  ["webhooks", goto("/console/webhooks")],
  ["webhook-delete", steps(
    (page) => page.getByRole("link", { name: /^whk_/ }).click(),
    (page) => page.getByRole("link", { name: "Delete…" }).click(), says("Cancel"),
  )],
  ["explain-blank", goto("/console/explain")],
  ["explain-wrong", steps(
    goto("/console/explain"), fill({ peer: "nowhere", access: "missing" }), click("Explain"),
    (page) => page.getByRole("alert").waitFor(),
  )],
  ["explain-admitted", steps(
    goto("/console/explain"), fill({ peer: "127.0.0.1", access: "demo" }), click("Explain"), says("would be accepted"),
  )],
];

const VIEWER = [
  ["viewer-accesses", goto("/console/accesses")],
  ["viewer-access", goto("/console/accesses/demo")],
  ["viewer-status", goto("/console/status")],
  ["viewer-webhooks", goto("/console/webhooks")],
  ["viewer-forbidden", goto("/console/accesses/new")],
];

const wrongKey = steps(goto("/console/sign-in"), fill({ key: "cgk_wrong" }), click("Sign in"), says("This is not an admin key."));

// The last: nobody signs in for a while after too many wrong keys.
const NOBODY = [
  ["sign-in-after-the-session", steps(goto("/console/sign-in?ended=1"), says("Your session has ended"))],
  ["sign-in-refused", wrongKey],
  ["sign-in-too-often", async (page) => {
    for (let n = 0; n < 100 && !(await page.getByText("Too many wrong keys.").count()); n += 1) {
      await fill({ key: "cgk_wrong" })(page);
      await click("Sign in")(page);
      await page.getByRole("alert").waitFor();
    }
    await says("Too many wrong keys.")(page);
  }],
];

module.exports = { OPERATOR, VIEWER, NOBODY };
