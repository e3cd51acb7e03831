// The window around the screen: title, marks, full screen, leaving.

import assert from "node:assert/strict";
import { eventually, share, shareHeadless } from "./beach.mjs";
import { story } from "./session.mjs";

/** What browsers do when another tab comes to the front: a headless one has no front. */
const hide = (guest, state) =>
  guest.page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);

const menu = async (guest, name) => {
  await guest.page.getByRole("button", { name: "Menu" }).click();
  await guest.page.getByRole("menu").getByText(name, { exact: true }).click();
};

story("the tab has the session's title, and a mark while something happened unseen", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  const guest = await open(links.control);
  await guest.live();
  const title = (wanted) => eventually(`the title is ${wanted}`, async () => (await guest.page.title()) === wanted);
  await guest.type("printf '\\033]2;harbour <b>\\007'\n");
  await title("harbour <b> · beach");
  assert.equal(await guest.page.locator(".title").innerText(), "harbour <b>");
  await hide(guest, "hidden");
  await title("harbour <b> · beach");
  pane.literal("echo news\n");
  await title("● harbour <b> · beach");
  await hide(guest, "visible");
  await title("harbour <b> · beach");
});

story("the bell is seen", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control);
  await guest.live();
  await guest.page.evaluate(() => {
    const frame = document.querySelector(".frame");
    new MutationObserver(() => (window.rang ||= frame.classList.contains("rings"))).observe(frame, { attributes: true });
  });
  await guest.type("printf '\\007'\n");
  await eventually("it rings", () => guest.page.evaluate(() => window.rang));
});

story("in full screen the program gets the browser's own keys too", async ({ scratch, open }) => {
  const { links } = await share(scratch, { command: "sh -c 'stty raw -echo; printf READY; exec cat -vt'" });
  const guest = await open(links.control);
  await guest.live();
  await guest.shows("READY");
  await guest.page.evaluate(() => {
    const { lock } = navigator.keyboard;
    navigator.keyboard.lock = (...keys) => {
      window.locked = true;
      return lock.apply(navigator.keyboard, keys);
    };
  });
  await menu(guest, "Full screen, with all keys");
  await eventually("all keys are the page's", () => guest.page.evaluate(() => document.fullscreenElement !== null && window.locked));
  await guest.takesKeys();
  await guest.press("Control+w");
  await guest.press("Control+t");
  await guest.shows("READY^W^T");
});

story("whoever leaves by the menu is out at once, sees the last screen, and can come back", async ({ scratch, open }) => {
  const { event, events, links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const guest = await open(links.control);
  await guest.live();
  await guest.type("echo stays-$((1+1))\n");
  await guest.shows("stays-2");
  await menu(guest, "Leave");
  await event("member_left");
  await guest.page.getByRole("button", { name: "Look at the last screen" }).click();
  await guest.shows("stays-2");
  // A page that is not connected does not ask before it is left.
  await guest.page.reload();
  await guest.says("paste the link again");
  const joined = () => events().filter(({ type }) => type === "member_joined").length;
  await guest.page.getByRole("textbox", { name: "The whole link" }).fill(links.control);
  await guest.press("Enter");
  await guest.live();
  await eventually("they are in again", () => joined() === 2);
});
