// The scripts of the pages in addition to htmx: copy a text, send a form once, pause live updates, and limit the number of live rows.
"use strict";

const ROWS_MAX = 200;

// Time after which a form can be sent again, in milliseconds: longer than a double click, shorter than the second thought after an
// answer that does not come.
const RESEND_MS = 3000;

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  let label = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS, browsers do not allow access to the clipboard. Select the text, so that the operator can copy it.
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    label = "Selected: press Ctrl+C";
  }
  const before = button.innerHTML;
  button.textContent = label;
  button.setAttribute("aria-live", "polite");
  setTimeout(() => { button.innerHTML = before; }, 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && button.dataset.copy) copy(button);
  if (button && "pause" in button.dataset) {
    const pauses = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pauses));
    button.textContent = pauses ? "Continue" : "Pause";
  }
});

// A form that is pressed twice would be sent twice: it would create two webhooks, and show the secret of the second one only.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if ("sent" in form.dataset) event.preventDefault();
  form.dataset.sent = "";
  setTimeout(() => { delete form.dataset.sent; }, RESEND_MS);
});

document.addEventListener("htmx:sseOpen", () => {
  const pause = document.querySelector("[data-pause]");
  if (pause) pause.hidden = false;
});

// Updates that arrive while the page is paused are ignored; reloading the page shows them. An alert does not move, so it is shown
// even while the page is paused. An unchanged alert is not inserted again, because a screen reader would read it again.
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const place = event.target;
  const isPaused = document.querySelector("[data-pause][aria-pressed=true]") !== null;
  const isAlert = place.getAttribute("role") === "alert";
  if (isAlert ? place.textContent === event.detail.data : isPaused) event.preventDefault();
});

// A row that is already in the table, such as the row of a send that has ended, replaces the older row.
function replaceRows(table) {
  const newer = new Map();
  for (const row of [...table.rows]) {
    const by = newer.get(row.dataset.row);
    if (by) {
      const hadFocus = row.contains(document.activeElement);
      row.replaceWith(by);
      if (hadFocus) by.querySelector("a").focus();
    } else {
      newer.set(row.dataset.row, row);
    }
  }
}

document.addEventListener("htmx:sseMessage", (event) => {
  const rows = document.getElementById("rows");
  if (!rows || event.target !== rows) return;
  replaceRows(rows);
  while (rows.rows.length > ROWS_MAX) rows.deleteRow(-1);
});
