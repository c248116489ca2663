// What the pages do besides htmx: copying, and keeping what is live short and still while somebody reads it.
"use strict";

const ROWS_MAX = 200;

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  let label = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS browsers keep the clipboard to themselves: mark the text, so that it can be copied by hand.
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    label = "Marked: press Ctrl+C";
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
    button.textContent = pauses ? "Go on" : "Pause";
  }
});

document.addEventListener("htmx:sseOpen", () => {
  const pause = document.querySelector("[data-pause]");
  if (pause) pause.hidden = false;
});

// What comes while the page is paused is passed over; loading the page again shows it. An alert does not move, and is shown all
// the same; with its text put in once more a screen reader would say it once more.
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const place = event.target;
  const isPaused = document.querySelector("[data-pause][aria-pressed=true]") !== null;
  const isAlert = place.getAttribute("role") === "alert";
  if (isAlert ? place.textContent === event.detail.data : isPaused) event.preventDefault();
});

// A row that the table has already, such as that of a send that has ended since, takes the place of the older one.
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
