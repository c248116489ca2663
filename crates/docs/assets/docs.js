// Copies a sample. Without a script there is no button, and the text can be marked as any other.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector("[role=status]");
  button.hidden = false;
  button.addEventListener("click", () => {
    // Without TLS browsers keep the clipboard to themselves, but for pages of the same machine.
    const copied = navigator.clipboard ? navigator.clipboard.writeText(text.textContent) : Promise.reject();
    copied.then(() => { said.textContent = "Copied."; }, () => {
      getSelection().selectAllChildren(text);
      said.textContent = "Marked: press Ctrl+C.";
    });
  });
}
