// Ways in: both links, a reload, links that do not work, several people.

import assert from "node:assert/strict";
import { BINARY, eventually, share } from "./beach.mjs";
import { same } from "./cells.mjs";
import { story } from "./session.mjs";

story("by the control link a person types, and host and page show the same", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  const guest = await open(links.control);
  await guest.live();
  await guest.type("echo the-answer-is-$((6*7))\n");
  await guest.shows("the-answer-is-42");
  await pane.shows("the-answer-is-42");
});

story("by the view link a person watches, and is told so when they type", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  const guest = await open(links.view);
  await guest.live();
  await guest.says("watching");
  pane.literal("echo seen-$((20+3))\n");
  await guest.shows("seen-23");
  await guest.type("x");
  await guest.says("You can only watch.");
  assert.ok(!pane.text().includes("x\n$ x"));
});

story("short links open the page too", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.shortControl);
  await guest.live();
  await guest.type("echo short-$((1+1))\n");
  await guest.shows("short-2");
});

story("the key is out of the address bar at once, and a page that is loaded again asks for the link", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control);
  await guest.live();
  assert.equal(await guest.page.evaluate(() => location.hash), "");
  // The page asks before it is left.
  const asked = new Promise((resolve) => guest.page.once("dialog", (dialog) => resolve(dialog.accept().then(() => dialog.type()))));
  await guest.type("x");
  await guest.page.reload();
  assert.equal(await asked, "beforeunload");
  await guest.says("paste the link again");
  await guest.page.getByRole("textbox", { name: "The whole link" }).fill(`beach join '${links.control}'`);
  await guest.page.getByRole("button", { name: "Join" }).click();
  await guest.live();
});

story("a wrong key is said to be one, with advice", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const [place, key] = links.control.split("#");
  const other = key.slice(0, -4) + (key.endsWith("AAAA") ? "BBBA" : "AAAA");
  const guest = await open(`${place}#${other}`);
  await guest.says("the session has another key");
  await guest.says("copy the whole link again, with everything after #");
});

story("a link that is damaged is not tried", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(`${links.control.split("#")[0]}#1c.short`);
  await guest.says("the key in the link is damaged");
});

story("an expired link is said to be one", async ({ scratch, open }) => {
  const { links } = await share(scratch, { args: "--no-approve --expire-links 1" });
  await eventually("the link expires", async () => {
    const join = scratch.run(BINARY, ["join", "--json", links.view]);
    join.child.stdin.end();
    await eventually("the join ends or stays", () => join.code !== undefined || join.stdout.includes("first_screen"));
    join.child.kill();
    return join.stdout.includes("expired");
  });
  const guest = await open(links.control);
  await guest.says("the link has expired");
  await guest.says("ask the host for a new link");
});

story("two pages and two programs in one session see the same and type in turn", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  const programs = [1, 2].map(() => scratch.pane(`exec beach join --escape none '${links.control}'`));
  const guests = [await open(links.control), await open(links.control)];
  for (const guest of guests) await guest.live();
  for (const program of programs) await program.shows("$");
  await eventually("four viewers are here", async () => JSON.parse(await scratch.beach("status", "--json")).members.length === 4);

  await guests[0].type("echo from-page-$((1+0))\n");
  await guests[1].shows("from-page-1");
  programs[0].literal("echo from-program-$((1+1))\n");
  await guests[0].shows("from-program-2");
  await guests[1].type("echo from-page-$((1+2))\n");
  for (const program of programs) await program.shows("from-page-3");
  await pane.shows("from-page-3");
  await guests[0].shows("from-page-3");

  await guests[0].page.getByRole("button", { name: "4 viewers are here" }).click();
  await guests[0].says("may type");
});

story("the end of the shared command ends the page's session, and says so", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch, { args: "--no-approve --linger 5" });
  const guest = await open(links.control);
  await guest.live();
  pane.literal("exit 3\n");
  await guest.says("the session ended (exit code 3)");
});

story("beach web serves the page on this machine, for the link of another server", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  const web = scratch.run(BINARY, ["web", links.control]);
  const link = await eventually("beach web says where the page is", () => /http:\/\/127\.0\.0\.1:\d+\/s\/\S+#\S+/.exec(web.stdout)?.[0]);
  assert.notEqual(new URL(link).origin, new URL(links.control).origin);
  const guest = await open(link);
  await guest.live();
  await guest.type("echo by-its-own-page-$((1+0))\n");
  await pane.shows("by-its-own-page-1");
  await guest.shows("by-its-own-page-1");
});

story("a host that wants no browsers says so, and what to use", async ({ scratch, open }) => {
  const { links } = await share(scratch, { args: "--no-approve --no-browser" });
  const guest = await open(links.control);
  await guest.says("the join was refused");
  await guest.says("use beach join in a terminal");
});

story("without JavaScript the page says what it is and how to join", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  const guest = await open(links.control, { javaScriptEnabled: false });
  const card = guest.page.locator("noscript .card");
  assert.ok(await card.isVisible());
  assert.match(await card.innerText(), /This is a beach session: a terminal somebody shares with you\.[^]*\nbeach join 'LINK'\n/);
  // Without a script nobody takes it out of the address bar.
  guest.secret = "";
});

story("a page whose terminal loads late goes on telling the steps until the terminal is there", async ({ scratch, open }) => {
  const { links } = await share(scratch);
  let load;
  const loads = new Promise((resolve) => (load = resolve));
  const late = (context) => context.route("**/screen.js", (route) => loads.then(() => route.continue()));
  const guest = await open(links.control, { before: late });
  await eventually("the machine has the first screen", () => guest.page.evaluate(() => performance.getEntriesByName("beach:live").length > 0));
  await guest.says("waiting for the first screen");
  assert.equal(await guest.page.evaluate(() => document.body.classList.contains("is-live")), false);
  load();
  await guest.live();
  await guest.shows("$");
  await guest.type("echo late-$((6*7))\n");
  await guest.shows("late-42");
});

story("a page whose machine loads late has made its terminal by then", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  // Characters whose width the machine knows.
  pane.literal("clear; printf '\\346\\274\\242\\345\\255\\227 wide\\n'\n");
  await pane.shows("漢字 wide");
  let load;
  const loads = new Promise((resolve) => (load = resolve));
  const late = (context) => context.route("**/beach.wasm", (route) => loads.then(() => route.continue()));
  const guest = await open(links.control, { before: late });
  await eventually("the terminal is there", () => guest.page.evaluate(() => performance.getEntriesByName("beach:terminal").length > 0));
  assert.equal(await guest.page.evaluate(() => performance.getEntriesByName("beach:machine").length), 0);
  load();
  await guest.live();
  await guest.shows("漢字 wide");
  await same(guest, pane);
  await guest.type("echo late-$((6*7))\n");
  await guest.shows("late-42");
});
