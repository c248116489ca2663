// Copies a sample. Without this script there is no button, but the text can be selected.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector("[role=status]");
  button.hidden = false;
  button.addEventListener("click", () => {
    // Without TLS, browsers allow access to the clipboard only for pages from the same machine.
    const copied = navigator.clipboard ? navigator.clipboard.writeText(text.textContent) : Promise.reject();
    copied.then(() => { said.textContent = "Copied."; }, () => {
      getSelection().selectAllChildren(text);
      said.textContent = "Selected: press Ctrl+C.";
    });
  });
}
