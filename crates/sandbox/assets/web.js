// Keeps a page up to date and sends without loading it anew. Without this file links and forms do the same.
"use strict";

const live = document.querySelector("[data-live]");
const log = document.querySelector(".log");
const state = document.querySelector(".state");

// Whether the end of the log is in view, and has to stay there.
let follows = true;

// What comes is HTML of the sandbox's own making, in which every text is escaped.
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
  source.onerror = () => { state.textContent = "Not connected, trying again"; };
  source.onmessage = (event) => show(event.data);
  // An open stream would keep a page that has been left from being left.
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
      // A message that was taken leads back to the page; one that was not is told by the page itself.
      if (answer.type !== "opaqueredirect") return form.submit();
      form.reset();
      document.querySelector("#refusal")?.remove();
      field.removeAttribute("aria-invalid");
      field.focus();
    } catch {
      state.textContent = "Not sent: the sandbox does not answer";
    }
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}
