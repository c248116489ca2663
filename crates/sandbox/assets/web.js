// Updates a page and sends messages without reloading it. Without this script, links and forms have the same effect.
"use strict";

const live = document.querySelector("[data-live]");
const log = document.querySelector(".log");
const state = document.querySelector(".state");

// True while the end of the log is in view. New messages then scroll the log to its end.
let follows = true;

// Events contain HTML that the sandbox has rendered, with all texts escaped.
function show(html) {
  if (!log) {
    live.innerHTML = html;
    return;
  }
  const piece = document.createElement("template");
  piece.innerHTML = html;
  const message = piece.content.firstElementChild;
  if (!message || document.getElementById(message.id)) return;
  log.firstElementChild.append(message);
  if (follows) log.scrollTop = log.scrollHeight;
}

if (live) {
  const source = new EventSource(live.dataset.live);
  source.onopen = () => { state.textContent = "Live"; };
  source.onerror = () => { state.textContent = "Connection lost, retrying"; };
  source.onmessage = (event) => show(event.data);
  // An open stream would keep the browser from storing a page that the visitor has left in its back/forward cache.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

if (log) {
  log.scrollTop = log.scrollHeight;
  log.addEventListener("scroll", () => { follows = log.scrollHeight - log.scrollTop - log.clientHeight < 80; });
  new ResizeObserver(() => { if (follows) log.scrollTop = log.scrollHeight; }).observe(log);
  const form = document.querySelector("form");
  const field = form.elements.message;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" });
      // After an accepted message the server redirects to the page; otherwise the form is submitted, so that the page shows the error.
      if (answer.type !== "opaqueredirect") return form.submit();
      form.reset();
      document.querySelector("#refusal")?.remove();
      field.removeAttribute("aria-invalid");
      field.focus();
    } catch {
      state.textContent = "Not sent: the sandbox does not respond";
    }
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}
