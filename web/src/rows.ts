// The rows of xterm.js' own renderer. It makes all spans of a row anew when something of the row may have changed, and the browser then
// styles and lays out all of them.

/** Lets the rows in `rows` keep each span of which at most the text changes, and leaves a row alone that stays as it is. */
export function keepSpans(rows: Element): void {
  const keep = (row: Node): void => {
    if (row instanceof HTMLElement) row.replaceChildren = (...wanted) => replaceWhatDiffers(row, wanted);
  };
  rows.childNodes.forEach(keep);
  // A session that grows gets further rows.
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) addedNodes.forEach(keep);
  }).observe(rows, { childList: true });
}

function replaceWhatDiffers(row: HTMLElement, wanted: (Node | string)[]): void {
  let shown = row.firstChild;
  for (const next of wanted) {
    const following: ChildNode | null = shown?.nextSibling ?? null;
    if (!shown) row.append(next);
    else if (!becomes(shown, next)) shown.replaceWith(next);
    shown = following;
  }
  while (shown) {
    const following: ChildNode | null = shown.nextSibling;
    shown.remove();
    shown = following;
  }
}

/** Gives a span the text of another one that looks the same; false if it does not, or is no span. */
function becomes(shown: ChildNode, next: Node | string): boolean {
  if (!(shown instanceof HTMLElement && next instanceof HTMLElement)) return false;
  const [before, after] = [shown.firstChild, next.firstChild];
  if (!(before instanceof Text && after instanceof Text)) return false;
  // The cursor is always a fresh one, which begins to blink anew: while somebody types it is to be seen.
  if (shown.className !== next.className || next.className.includes("xterm-cursor")) return false;
  if (shown.getAttribute("style") !== next.getAttribute("style")) return false;
  if (before.data !== after.data) before.data = after.data;
  return true;
}
