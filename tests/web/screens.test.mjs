// What the page shows is what the host's terminal shows, cell for cell.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually, share } from "./beach.mjs";
import { same } from "./cells.mjs";
import { story } from "./session.mjs";

story("vim looks the same to the page as to the host", async ({ scratch, open }) => {
  const lines = Array.from({ length: 200 }, (_, at) => `int line_${at} = ${at}; /* "text" 漢字 é */`);
  writeFileSync(join(scratch.folder, "a.c"), lines.join("\n"));
  const { pane, links } = await share(scratch, { cols: 90, rows: 30 });
  const guest = await open(links.control);
  await guest.live();
  await guest.type("vim -u NONE -c 'set nocp ru nu' -c 'syntax on' a.c\n");
  await guest.shows("line_5");
  await same(guest, pane);
  for (const keys of ["G", "gg", "/line_77\n", "3dd", "iinserted\x1b", ":set hls\n", "V5j"]) {
    for (const key of keys) await (key === "\x1b" ? guest.press("Escape") : guest.page.keyboard.type(key));
    await same(guest, pane);
  }
});

story("rows that keep their spans look as rows that are made anew", async ({ scratch, open }) => {
  const lines = Array.from({ length: 200 }, (_, at) => `int line_${at} = ${at}; /* "text" 漢字 é */ ${at % 3 ? "" : "return x;"}`);
  writeFileSync(join(scratch.folder, "a.c"), lines.join("\n"));
  const { pane, links } = await share(scratch, { cols: 90, rows: 20 });
  const guest = await open(links.control);
  await guest.live();
  // Every row of a page, as it stands after all changes, or made anew from nothing.
  const rows = (anew) =>
    guest.page.evaluate(async (anew) => {
      const { terminal } = document.querySelector(".frame");
      const painted = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      await painted();
      const rows = [...document.querySelectorAll(".xterm-rows > div")];
      if (anew) {
        for (const row of rows) Element.prototype.replaceChildren.call(row);
        terminal.refresh(0, terminal.rows - 1);
        await painted();
      }
      return rows.map((row) => row.innerHTML);
    }, anew);
  await guest.type("vim -u NONE -c 'set nocp ru nu' -c 'syntax on' a.c\n");
  await guest.shows("line_5");
  let texts = 0;
  for (const keys of ["G", "gg", "3dd", "5x", "iinserted\x1b", ":set hls\n", "/line_77\n", "V5j", ":split\n"]) {
    for (const key of keys) await (key === "\x1b" ? guest.press("Escape") : guest.page.keyboard.type(key));
    await same(guest, pane);
    const kept = await rows(false);
    assert.deepEqual(kept, await rows(true), keys);
    texts += kept.filter((row) => row.includes("line_")).length;
  }
  assert.ok(texts > 20, "the rows have text");
  pane.resize(70, 30);
  await eventually("the page has the new size", async () => (await guest.size()).rows === 30);
  await same(guest, pane);
  assert.deepEqual(await rows(false), await rows(true), "after a change of the size");
});

story("htop looks the same to the page as to the host", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch, { cols: 120, rows: 40 });
  const guest = await open(links.control);
  await guest.live();
  // Nothing of it moves by itself within the test.
  await guest.type("htop -d 100\n");
  await guest.shows("Load average");
  await same(guest, pane);
  await guest.press("F5");
  await same(guest, pane);
  await guest.press("ArrowDown");
  await same(guest, pane);
});

story("a page that comes late has the history, in order, each line once", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  pane.literal("i=1; while [ $i -le 300 ]; do echo line-$i-end; i=$((i+1)); done\n");
  await pane.shows("line-300-end");
  const guest = await open(links.view);
  await guest.live();
  await guest.shows("line-300-end");
  const have = async () => (await guest.history()).concat(await guest.rows()).filter((row) => /^line-\d+-end$/.test(row));
  const wanted = Array.from({ length: 300 }, (_, at) => `line-${at + 1}-end`);
  await eventually("all lines are there", async () => (await have()).length >= 300);
  assert.deepEqual(await have(), wanted);
});

story("the page takes the size of the session whenever that changes", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  const guest = await open(links.view);
  await guest.live();
  assert.deepEqual(await guest.size(), { cols: 80, rows: 24 });
  for (const [cols, rows] of [[132, 43], [60, 20], [60, 50], [200, 60], [80, 24]]) {
    pane.resize(cols, rows);
    await eventually(`the page is ${cols}x${rows}`, async () => {
      const size = await guest.size();
      return size.cols === cols && size.rows === rows;
    });
    // tmux pulls rows back out of its scrollback when a pane grows, and the model of beach does not: a screen drawn anew is the same.
    pane.literal(`clear; echo now-$((${cols}+0))\n`);
    await guest.shows(`now-${cols}`);
    await same(guest, pane);
    const fits = await guest.page.evaluate(() => {
      const [frame, screen] = [document.querySelector(".frame"), document.querySelector(".xterm-screen")];
      return screen.offsetWidth <= frame.clientWidth && screen.offsetHeight <= frame.clientHeight;
    });
    assert.ok(fits, `${cols}x${rows} does not fit into the window`);
  }
});

story("with --resize smallest the window's own size counts", async ({ scratch, open }) => {
  const { links } = await share(scratch, { args: "--no-approve --resize smallest", cols: 200, rows: 60 });
  const guest = await open(links.control, { viewport: { width: 700, height: 500 } });
  await guest.live();
  await eventually("the session is as small as the window's room", async () => {
    const { cols, rows } = await guest.size();
    return cols < 100 && rows < 40 && cols > 40 && rows > 15;
  });
  const before = await guest.size();
  await guest.page.setViewportSize({ width: 1000, height: 600 });
  await eventually("and grows with it", async () => (await guest.size()).cols > before.cols);
});

story("a paste of 200 KB arrives whole, once, and as one", async ({ scratch, open }) => {
  const { links } = await share(scratch, { command: "sh -c 'stty raw -echo; printf \"\\033[?2004hREADY\"; head -c 204812 > pasted; md5sum pasted; cat'" });
  const guest = await open(links.control);
  await guest.live();
  await guest.shows("READY");
  const text = Array.from({ length: 3200 }, (_, at) => `${String(at).padStart(5, "0")}: ${"abcdefghij".repeat(6).slice(0, 56)}`).join("\r") + "\r";
  await guest.paste(text);
  await guest.shows("pasted", 60_000);
  const { createHash } = await import("node:crypto");
  const wanted = createHash("md5").update(`\x1b[200~${text}\x1b[201~`).digest("hex");
  await guest.shows(wanted);
});

for (const colorScheme of ["dark", "light"]) {
  story(`inverted text has the colour of the ground, not a grey (${colorScheme})`, async ({ scratch, open }) => {
    const { links } = await share(scratch);
    const guest = await open(links.control, { colorScheme });
    await guest.live();
    await guest.type("printf '\\033[7m inver%s \\033[m\\n' ted\n");
    await guest.shows(" inverted ");
    // The screen has the text before the page paints it.
    const colors = await eventually("the text is painted", () => guest.page.evaluate(() => {
      const shown = [...document.querySelectorAll(".xterm-rows span")].find((span) => span.textContent.includes("inverted"));
      if (!shown) return undefined;
      const { color, backgroundColor } = getComputedStyle(shown);
      return [color, backgroundColor];
    }));
    const [ground, text] = colorScheme === "dark" ? ["rgb(16, 18, 22)", "rgb(214, 217, 222)"] : ["rgb(251, 251, 249)", "rgb(36, 40, 46)"];
    assert.deepEqual(colors, [ground, text]);
  });
}
