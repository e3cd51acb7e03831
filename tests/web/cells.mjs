// The host's screen cell by cell: what tmux captured, fed into an xterm.js without a screen.

import headless from "@xterm/headless";
import { eventually } from "./beach.mjs";
import { cellsOf } from "./browser.mjs";

/** The cells of `tmux capture-pane -e`. */
export async function cellsOfPane(pane, { cols, rows }) {
  const terminal = new headless.Terminal({ cols, rows, allowProposedApi: true });
  const lines = pane.styled().replace(/\n$/, "").split("\n").slice(0, rows);
  // Each row by its place, so that no row of full width wraps. Colours go on from row to row.
  const bytes = lines.map((line, row) => `\x1b[${row + 1};1H${line}`).join("");
  await new Promise((resolve) => terminal.write(`\x1b[?7l${bytes}`, resolve));
  const cells = cellsOf(terminal);
  terminal.dispose();
  return cells;
}

/** The first difference of two screens, in words; nothing if they are the same. */
export function difference(page, host) {
  for (let row = 0; row < Math.max(page.length, host.length); row += 1) {
    const [ours, theirs] = [page[row] ?? [], host[row] ?? []];
    for (let col = 0; col < Math.max(ours.length, theirs.length); col += 1) {
      if (ours[col] !== theirs[col]) return `row ${row}, cell ${col}: the page has ${ours[col]}, the host ${theirs[col]}`;
    }
  }
  return undefined;
}

/** Waits until the page shows the very cells of the host's terminal. */
export async function same(guest, pane) {
  let last;
  const equal = async () => {
    last = difference(await guest.cells(), await cellsOfPane(pane, await guest.size()));
    return last === undefined;
  };
  await eventually("page and host show the same cells", equal, 20_000).catch((error) => {
    throw new Error(`${error.message}: ${last}`);
  });
}
