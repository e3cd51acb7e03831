// What the host decides, and what the page says of it.

import assert from "node:assert/strict";
import { eventually, share, shareHeadless } from "./beach.mjs";
import { story } from "./session.mjs";

const memberOf = async (scratch) => {
  const told = await eventually("the viewer is in", async () => JSON.parse(await scratch.beach("status", "--json")).members[0]);
  return String(told.member);
};

story("a guest who must be let in sees the host's four words, and is in after a yes", async ({ scratch, open }) => {
  const { event, links } = await shareHeadless(scratch, ["--approve"], ["sh"]);
  const guest = await open(links.control);
  const asks = await event("member_asks");
  await guest.says("waiting for approval");
  const words = await guest.page.locator(".words li").allInnerTexts();
  assert.deepEqual(words, Array.isArray(asks.check) ? asks.check : asks.check.split(" "));
  await scratch.beach("approve", String(asks.member));
  await guest.live();
});

story("a guest who is refused is told so", async ({ scratch, open }) => {
  const { event, links } = await shareHeadless(scratch, ["--approve"], ["sh"]);
  const guest = await open(links.control);
  const asks = await event("member_asks");
  await scratch.beach("deny", String(asks.member));
  await guest.says("the host said no");
  await guest.says("ask the host");
});

story("the keyboard is given and taken while the guest watches", async ({ scratch, open }) => {
  const { links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const guest = await open(links.view);
  await guest.live();
  await guest.says("watching");
  const member = await memberOf(scratch);
  await scratch.beach("grant", member);
  await guest.says("The host gave you the keyboard; you can type now.");
  await guest.type("echo granted-$((4+5))\n");
  await guest.shows("granted-9");
  await scratch.beach("revoke", member);
  await guest.says("The host took the keyboard away; you can only watch now.");
  await guest.says("watching");
});

story("a pause stands over the screen until the session goes on", async ({ scratch, open }) => {
  const { links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const guest = await open(links.control);
  await guest.live();
  await scratch.beach("pause");
  await guest.says("the host paused the session; you see nothing new and cannot type.");
  await scratch.beach("resume");
  await eventually("the banner is gone", async () => !(await guest.words()).includes("paused the session"));
  await guest.type("echo on-$((1+1))\n");
  await guest.shows("on-2");
});

story("a message of the host is shown as the host's", async ({ scratch, open }) => {
  const { links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const guest = await open(links.view);
  await guest.live();
  await scratch.beach("say", "lunch at noon");
  await guest.says("lunch at noon");
  assert.match(await guest.page.locator(".sentence").first().innerText(), /^the host says/);
});

story("a guest who is removed is told so, with the last screen behind", async ({ scratch, open }) => {
  const { links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const guest = await open(links.control);
  await guest.live();
  await scratch.beach("kick", await memberOf(scratch));
  await guest.says("the host removed you from the session");
});

story("text for the clipboard is put there only after a yes", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control, { permissions: ["clipboard-read", "clipboard-write"] });
  await guest.live();
  await guest.page.evaluate(() => navigator.clipboard.writeText("before"));
  await guest.type("printf '\\033]52;c;%s\\007' $(printf secret | base64)\n");
  await guest.says("The program wants to put 6 characters into your clipboard.");
  assert.equal(await guest.page.evaluate(() => navigator.clipboard.readText()), "before");
  await guest.page.getByRole("button", { name: "Copy" }).click();
  await eventually("it is copied", async () => (await guest.page.evaluate(() => navigator.clipboard.readText())) === "secret");
});

story("a link in the output opens only after a yes", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control);
  await guest.live();
  await guest.type("clear; printf '\\033]8;;https://example.org/deep\\033\\\\here\\033]8;;\\033\\\\\\n'\n");
  await guest.shows("here");
  const screen = await guest.page.locator(".xterm-screen").boundingBox();
  await guest.page.mouse.move(screen.x + 20, screen.y + 8);
  await guest.page.mouse.click(screen.x + 20, screen.y + 8);
  await guest.says("Open this link?");
  await guest.says("https://example.org/deep");
  await guest.page.getByRole("button", { name: "Cancel" }).click();
  await guest.takesKeys();
  await guest.type("echo typed-$((1+1))\n");
  await guest.shows("typed-2");
});
