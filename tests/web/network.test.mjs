// Networks that lose, go away, or have two machines: in network namespaces, with Chromium in one of them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { browser } from "./browser.mjs";
import { eventually, share } from "./beach.mjs";
import { story } from "./session.mjs";

const ip = (...args) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] });
let count = 0;

/** Two machines with a cable between them: 10.77.0.1, where the host is, and 10.77.0.2, where the browser is. */
async function twoMachines(scratch, run) {
  const name = `bw${process.pid % 10_000}x${(count += 1)}`;
  const sides = [`${name}h`, `${name}g`];
  try {
    for (const [at, side] of sides.entries()) {
      ip("netns", "add", side);
      ip("-n", side, "link", "set", "lo", "up");
      if (at === 1) ip("link", "add", "v0", "netns", sides[0], "type", "veth", "peer", "name", "v0", "netns", sides[1]);
    }
    for (const [at, side] of sides.entries()) {
      ip("-n", side, "addr", "add", `10.77.0.${at + 1}/24`, "dev", "v0");
      ip("-n", side, "link", "set", "v0", "up");
    }
    const script = join(scratch.folder, "chromium");
    writeFileSync(script, `#!/bin/sh\nexec ip netns exec ${sides[1]} ${process.env.BEACH_CHROMIUM ?? "/usr/bin/chromium"} "$@"\n`);
    chmodSync(script, 0o755);
    const elsewhere = await browser(script);
    try {
      const wrap = ["ip", "netns", "exec", sides[0]];
      const loses = (part) => {
        const rule = ["iptables", "-A", "INPUT", "-i", "v0", "-m", "statistic", "--mode", "random", "--probability", part, "-j", "DROP"];
        for (const side of sides) ip("netns", "exec", side, ...rule);
      };
      await run({ elsewhere, wrap, loses, cable: (state) => ip("-n", sides[1], "link", "set", "v0", state) });
    } finally {
      await elsewhere.close();
    }
  } finally {
    for (const side of sides) {
      try {
        ip("netns", "del", side);
      } catch {
        // It was never made.
      }
    }
  }
}

const lan = { listen: "10.77.0.1:0" };

story("over a real network and plain http, the page is directly connected", async ({ scratch, open }) => {
  await twoMachines(scratch, async ({ elsewhere, wrap }) => {
    const { pane, links } = await share(scratch, { ...lan, wrap });
    assert.match(links.control, /^http:\/\/10\.77\.0\.1:/);
    const guest = await open(links.control, { in: elsewhere });
    await guest.live();
    assert.equal(await guest.page.evaluate(() => isSecureContext), false);
    await guest.type("echo lan-$((6*7))\n");
    await pane.shows("lan-42");
    await guest.shows("lan-42");
    await guest.says("connected directly");
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
