// A sheet over the page: the text of the screen to select from, and what this page is.

import { h } from "./dom.js";

/** `closed`: the sheet is gone, and the focus may go where it was. */
export function openSheet(title: string, closed: () => void, ...content: (Node | string)[]): void {
  const dialog = h("dialog.sheet", { "aria-label": title });
  const close = (): void => dialog.close();
  dialog.append(
    h("header", {}, h("h2", {}, title), h("button", { type: "button", click: close }, "Close")),
    h("div.content", {}, ...content),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Puts text into the clipboard; on plain http browsers have only the old way. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h("textarea", { "aria-hidden": "true", tabindex: "-1" });
    field.className = "unseen";
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
