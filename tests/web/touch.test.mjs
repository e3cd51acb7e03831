// A phone: the keys above the keyboard on glass, modifiers that stay for the next key, a screen that scrolls.

import assert from "node:assert/strict";
import { eventually, share } from "./beach.mjs";
import { story } from "./session.mjs";

const PHONE = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 3,
  isMobile: true,
  hasTouch: true,
  userAgent: "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile Safari/537.36",
};

story("the touch bar's keys and sticky modifiers reach the program", async ({ scratch, open }) => {
  const { links } = await share(scratch, { command: "sh -c 'stty raw -echo; printf READY; exec cat -vt'" });
  const guest = await open(links.control, PHONE);
  await guest.live();
  await guest.shows("READY");
  const tap = (name) => guest.page.getByRole("toolbar", { name: "Keys" }).getByRole("button", { name, exact: true }).tap();
  let sent = "READY";
  /** As `cat -vt` shows what the program got. */
  const expect = async (bytes) => {
    sent += bytes;
    await guest.shows(sent);
  };
  await tap("Tab");
  await expect("^I");
  await tap("Up");
  await expect("^[[A");
  await tap("Ctrl");
  await guest.type("c");
  await expect("^C");
  await guest.type("c");
  await expect("c");
  await tap("Alt");
  await guest.type("x");
  await expect("^[x");
  await tap("Ctrl");
  await tap("Left");
  await expect("^[[1;5D");
  // Twice: the modifier stays until it is pressed again.
  await tap("Ctrl");
  await tap("Ctrl");
  await guest.type("ab");
  await expect("^A^B");
  await tap("Ctrl");
  await tap("|");
  await expect("|");
  await tap("Escape");
  await expect("^[");
});

story("the keyboard on glass corrects nothing, and the bar does not take the focus", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control, PHONE);
  await guest.live();
  const area = guest.page.locator("textarea.xterm-helper-textarea");
  for (const [name, value] of [["autocorrect", "off"], ["autocapitalize", "none"], ["spellcheck", "false"], ["autocomplete", "off"]]) {
    assert.equal(await area.getAttribute(name), value, name);
  }
  await guest.page.locator(".xterm-screen").tap();
  await guest.page.getByRole("button", { name: "Tab", exact: true }).tap();
  assert.equal(await guest.page.evaluate(() => document.activeElement?.className), "xterm-helper-textarea");
});

story("a session that is too wide for eight pixels scrolls, and follows the cursor", async ({ scratch, open }) => {
  const { links } = await share(scratch, { cols: 160, rows: 40 });
  const guest = await open(links.control, PHONE);
  await guest.live();
  const look = () =>
    guest.page.evaluate(() => {
      const frame = document.querySelector(".frame");
      return { font: frame.terminal.options.fontSize, wide: frame.scrollWidth > frame.clientWidth, left: frame.scrollLeft };
    });
  await eventually("the font is at its smallest and the screen scrolls", async () => (await look()).wide && (await look()).font === 8);
  await guest.type("echo " + "x".repeat(120));
  await eventually("the cursor is in sight", async () => (await look()).left > 200);
});

story("the page can be used without a mouse: menu, screen reader, about", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control);
  await guest.live();
  await guest.page.getByRole("button", { name: "Menu" }).click();
  await guest.page.getByRole("menuitemcheckbox", { name: "Screen reader" }).click();
  await eventually("the rows are there for a screen reader", async () => (await guest.page.locator(".xterm-accessibility").count()) === 1);
  await guest.page.getByRole("button", { name: "Menu" }).click();
  await guest.page.keyboard.press("ArrowDown");
  await guest.page.getByRole("menuitem", { name: "About and help" }).click();
  await guest.says("beach join");
  await guest.page.keyboard.press("Escape");
  await guest.takesKeys();
  await guest.type("echo focus-$((1+1))\n");
  await guest.shows("focus-2");
});

story("the touch bar shows only while there is a session to send keys to", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control, PHONE);
  await guest.live();
  const bar = guest.page.locator(".touch");
  assert.ok(await bar.isVisible());
  const height = () => guest.page.evaluate(() => document.querySelector(".frame").clientHeight);
  const before = await height();
  await guest.type("exit\n");
  await guest.says("the session ended");
  assert.ok(!(await bar.isVisible()));
  assert.equal(await height(), before);
});
