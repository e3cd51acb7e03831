// Networks that lose, go away, or have two machines: in network namespaces, with Chromium in one of them.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually, serve, share, shareHeadless } from "./beach.mjs";
import { same } from "./cells.mjs";
import { apart, coturn, farMachines, lacksTun, PUBLIC, twoMachines } from "./machines.mjs";
import { story } from "./session.mjs";

const lan = { listen: "10.77.0.1:0" };

story("over a real network and plain http, the page is directly connected, and shows what the host shows", async ({ scratch, open }) => {
  writeFileSync(join(scratch.folder, "a.c"), Array.from({ length: 100 }, (_, at) => `int line_${at}; /* "text" 漢字 é */`).join("\n"));
  await twoMachines(scratch, async ({ elsewhere, wrap }) => {
    const { pane, links } = await share(scratch, { ...lan, wrap });
    assert.match(links.control, /^http:\/\/10\.77\.0\.1:/);
    const guest = await open(links.control, { in: elsewhere });
    await guest.live();
    await guest.says("connected directly");
    await guest.type("echo lan-$((6*7))\n");
    await pane.shows("lan-42");
    await guest.shows("lan-42");
    await guest.type("vim -u NONE -c 'set nocp ru nu' -c 'syntax on' a.c\n");
    await guest.shows("line_5");
    for (const keys of ["G", "gg", "3dd", "ityped \x1b"]) {
      await guest.type(keys);
      await same(guest, pane);
    }
    await guest.close();
  });
});

story("what browsers keep from pages over plain http is missed nowhere: copying, pasting, full screen, text of the session", async ({ scratch, open }) => {
  await twoMachines(scratch, async ({ elsewhere, wrap }) => {
    const { links } = await share(scratch, { ...lan, wrap });
    const guest = await open(links.control, { in: elsewhere });
    await guest.live();
    const has = await guest.page.evaluate(() => [isSecureContext, "clipboard" in navigator, "subtle" in crypto, "keyboard" in navigator]);
    assert.deepEqual(has, [false, false, false, false]);

    // What the program wants copied, and what is selected, is copied the old way.
    await guest.type("clear; printf '\\033]52;c;%s\\007' $(printf 'echo copied-$((1+1))' | base64)\n");
    await guest.says("The program wants to put 20 characters into your clipboard.");
    await guest.page.getByRole("button", { name: "Copy" }).click();
    await guest.takesKeys();
    await guest.press("Control+Shift+V");
    await guest.press("Enter");
    await guest.shows("copied-2");
    await guest.type("clear; echo select-$((2+1))\n");
    await guest.shows("select-3");
    await guest.page.evaluate(() => {
      const { terminal } = document.querySelector(".frame");
      terminal.select(0, terminal.buffer.active.baseY, "select-3".length);
    });
    await guest.press("Control+Shift+C");
    await guest.type("echo again-");
    await guest.press("Control+Shift+V");
    await guest.press("Enter");
    await guest.shows("again-select-3");

    const menu = async (name) => {
      await guest.page.getByRole("button", { name: "Menu" }).click();
      await guest.page.getByRole("menu").getByText(name, { exact: true }).click();
    };
    await menu("Full screen");
    await eventually("it fills the screen", () => guest.page.evaluate(() => document.fullscreenElement !== null));
    await guest.takesKeys();
    await guest.type("echo full-$((3+1))\n");
    await guest.shows("full-4");
    await menu("Full screen");
    await eventually("and does not any more", () => guest.page.evaluate(() => document.fullscreenElement === null));
    await menu("Copy text");
    assert.match(await guest.page.locator("dialog pre").innerText(), /full-4/);
    await guest.press("Escape");
    await guest.takesKeys();
    await guest.type("echo left-$((4+1))\n");
    await guest.shows("left-5");
    await guest.close();
  });
});

story("with 10 % of all packets lost, everything typed arrives once and the screens become the same", async ({ scratch, open }) => {
  await twoMachines(scratch, async ({ elsewhere, wrap, loses }) => {
    const { pane, links } = await share(scratch, { ...lan, wrap });
    loses("0.1");
    const guest = await open(links.control, { in: elsewhere });
    await guest.live(40_000);
    for (let line = 1; line <= 20; line += 1) await guest.type(`echo line-$((${line}+100))-end\n`);
    await pane.shows("line-120-end", 40_000);
    await guest.shows("line-120-end", 40_000);
    // Where typing was faster than the shell, its echo stands before the line.
    const seen = async () => (await guest.history()).concat(await guest.rows()).flatMap((row) => /line-(\d+)-end$/.exec(row)?.[1] ?? []);
    const wanted = Array.from({ length: 20 }, (_, at) => String(at + 101));
    await eventually("every line, once", async () => JSON.stringify(await seen()) === JSON.stringify(wanted), 40_000).catch(async (error) => {
      throw new Error(`${error.message}: ${(await guest.history()).concat(await guest.rows()).join("\n")}`);
    });
    await guest.close();
  });
}, { timeout: 180_000 });

story("after 20 s without a network the page comes back by itself, with what was typed meanwhile", async ({ scratch, open }) => {
  await twoMachines(scratch, async ({ elsewhere, wrap, cable }) => {
    const { pane, links } = await share(scratch, { ...lan, wrap });
    const guest = await open(links.control, { in: elsewhere });
    await guest.live();
    cable("down");
    const gone = Date.now();
    await guest.says("reconnecting", 40_000);
    await guest.says("What you type is kept.");
    await guest.type("echo kept-$((7*6))\n");
    await eventually("20 s have passed", () => Date.now() - gone > 20_000, 30_000);
    cable("up");
    await pane.shows("kept-42", 60_000);
    await guest.shows("kept-42", 60_000);
    await eventually("the banner is gone", async () => !(await guest.words()).includes("reconnecting"));
    assert.equal(pane.text().split("\n").filter((row) => row === "kept-42").length, 1);
    await guest.close();
  });
}, { timeout: 180_000 });

story("a host that was killed is reported as lost, and the page goes on trying", async ({ scratch, open }) => {
  const { pane, links } = await share(scratch);
  const guest = await open(links.control);
  await guest.live();
  process.kill(pane.pid(), "SIGKILL");
  await guest.says("reconnecting", 40_000);
});

/** A page on one machine and a host on another, which only their rendezvous connects; both may have a TURN server. */
async function meet({ scratch, open }, { turn, options = [], noUdp = false }, then) {
  await apart(scratch, async (machines) => {
    if (noUdp) machines.noUdp();
    const server = [];
    if (turn === "inside") {
      server.push("--turn", "--turn-external", PUBLIC);
    } else if (turn) {
      writeFileSync(join(scratch.folder, "secret"), "north");
      await coturn(scratch, machines.middle, "north");
      server.push("--ice-server", `turn:${PUBLIC}:3478?transport=${turn}`, "--turn-secret-file", "secret");
    }
    await serve(scratch, `${PUBLIC}:8080`, server, machines.middle);
    const { links } = await shareHeadless(scratch, ["--no-approve", "--server", `http://${PUBLIC}:8080`, ...options], ["sh"], machines.host);
    const guest = await open(links.control, { in: machines.elsewhere });
    await then(guest);
    await guest.close();
  });
}

for (const [turn, noUdp, options, words] of [
  ["udp", false, [], "UDP does not pass between them"],
  ["tcp", true, [], "there is no UDP at all"],
  ["udp", false, ["--relay-only"], "the host hides its address"],
  ["inside", false, [], "UDP does not pass between them"],
  ["inside", true, [], "there is no UDP at all"],
]) {
  const where = turn === "inside" ? "serve's own TURN server" : `a TURN server over ${turn}`;
  story(`where ${words}, page and host meet at ${where}`, async (context) => {
    await meet(context, { turn, noUdp, options }, async (guest) => {
      await guest.live(40_000);
      await guest.says("connected through a TURN server");
      await guest.type("echo turned-$((6*7))\n");
      await guest.shows("turned-42");
    });
  });
}

story("without UDP and without a TURN server the page says what blocks it, and what else there is", async (context) => {
  await meet(context, {}, async (guest) => {
    await guest.says("no answer from the host", 40_000);
    await guest.says("address of the host tried, none replied (10.77.1.2:");
    await guest.says("UDP is blocked here; use beach join, or ask for a TURN server");
  });
});

story("a host that hides its address and has no TURN server is said to have none for a browser", async ({ scratch, open }) => {
  const { links } = await shareHeadless(scratch, ["--no-approve", "--relay-only"], ["sh"]);
  const guest = await open(links.control);
  await guest.says("the host named no address that a browser can reach", 40_000);
  await guest.says("use beach join in a terminal, or ask the host for a TURN server");
  assert.ok(!(await guest.words()).includes("UDP"));
});

story("over a slow link what is typed shows at once, and a password does not", async ({ scratch, open }) => {
  await farMachines(scratch, 250, async ({ elsewhere, wrap }) => {
    const { links } = await share(scratch, { ...lan, wrap });
    const guest = await open(links.control, { in: elsewhere });
    await guest.live(30_000);
    await guest.type("echo");
    await guest.page.evaluate(() => {
      const { terminal } = document.querySelector(".frame");
      window.addEventListener("keydown", () => ([window.pressed, window.took] = [performance.now(), undefined]), true);
      const row = () => terminal.buffer.active.getLine(terminal.buffer.active.baseY + terminal.buffer.active.cursorY)?.translateToString(true);
      terminal.onWriteParsed(() => {
        if (row()?.endsWith(window.wanted)) window.took ??= performance.now() - window.pressed;
      });
    });
    // The first echoes tell that this program has some, and how far away it is.
    let took;
    for (let typed = "echo"; typed.length < 14 && !(took < 250); ) {
      typed += "x";
      await guest.page.evaluate((typed) => (window.wanted = typed), typed);
      await guest.press("x");
      took = await eventually("the key shows", () => guest.page.evaluate(() => window.took));
    }
    assert.ok(took < 250, `after ${took} ms, and the way to the host and back takes 500`);

    await guest.press("Control+u");
    await guest.type("stty -echo; printf 'Your pass''word: '; read secret; stty echo; echo got-$secret\n");
    await guest.shows("Your password:");
    await guest.page.evaluate(() => {
      const { terminal } = document.querySelector(".frame");
      window.seen = "";
      terminal.onWriteParsed(() => {
        for (let row = 0; row < terminal.rows; row += 1) window.seen += terminal.buffer.active.getLine(terminal.buffer.active.baseY + row)?.translateToString(true);
      });
    });
    await guest.type("swordfish\n");
    await guest.shows("got-swordfish");
    const [before] = (await guest.page.evaluate(() => window.seen)).split("got-swordfish");
    assert.doesNotMatch(before, /fish/);
    await guest.close();
  });
}, { timeout: 120_000, lacks: lacksTun });

story("with a fifth of all packets lost on a slow link, no echo waits for seconds", async ({ scratch, open }) => {
  await farMachines(scratch, 50, async ({ elsewhere, wrap, loses }) => {
    const echo = ["sh", "-c", "stty raw -echo; printf READY; exec stdbuf -o0 tr x ."];
    const { links } = await shareHeadless(scratch, ["--no-approve", "--listen", lan.listen], echo, wrap);
    const guest = await open(links.control, { in: elsewhere });
    await guest.live(30_000);
    await guest.shows("READY");
    await guest.page.evaluate(() => {
      const { terminal } = document.querySelector(".frame");
      [window.pressed, window.times] = [[], []];
      window.addEventListener("keydown", () => window.pressed.push(performance.now()), true);
      const position = () => terminal.buffer.active.cursorX + terminal.buffer.active.cursorY * terminal.cols;
      const start = position();
      terminal.onWriteParsed(() => {
        while (window.times.length < position() - start) window.times.push(performance.now() - window.pressed[window.times.length]);
      });
    });
    loses(20);
    const keys = 200;
    for (let key = 0; key < keys; key += 1) {
      await guest.press("x");
      await guest.page.waitForTimeout(50);
    }
    await eventually("all echoes", () => guest.page.evaluate((keys) => window.times.length >= keys, keys), 30_000);
    const times = (await guest.page.evaluate(() => window.times)).sort((a, b) => a - b);
    loses(0);
    assert.ok(times.at(-1) < 2000, `an echo took ${times.at(-1).toFixed(0)} ms`);
    assert.ok(times[keys / 2] < 300, `half of the echoes took ${times[keys / 2].toFixed(0)} ms or more`);
    await guest.close();
  });
}, { timeout: 120_000, lacks: lacksTun });
