// Machines with networks of their own: network namespaces, with Chromium in one of them.

import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { browser } from "./browser.mjs";
import { eventually } from "./beach.mjs";

const run = (command, ...args) => execFileSync(command, args, { stdio: ["ignore", "pipe", "pipe"] });
const ip = (...args) => run("ip", ...args);
const within = (machine, ...command) => run("ip", "netns", "exec", machine, ...command);
/** What stands before a command so that it runs on a machine. */
export const on = (machine) => ["ip", "netns", "exec", machine];
let count = 0;

/** Machines with these names, for as long as `use` runs. */
async function machines(names, use) {
  const prefix = `bw${process.pid}x${(count += 1)}`;
  const made = Object.fromEntries(names.map((name) => [name, `${prefix}${name}`]));
  try {
    for (const machine of Object.values(made)) {
      ip("netns", "add", machine);
      ip("-n", machine, "link", "set", "lo", "up");
    }
    await use(made);
  } finally {
    for (const machine of Object.values(made)) {
      try {
        ip("netns", "del", machine);
      } catch {
        // It was never made.
      }
    }
  }
}

/** A cable from one machine to another: the names and the addresses of its two ends. */
function cable([one, oneEnd, oneAddress], [other, otherEnd, otherAddress]) {
  ip("link", "add", oneEnd, "netns", one, "type", "veth", "peer", "name", otherEnd, "netns", other);
  for (const [machine, end, address] of [[one, oneEnd, oneAddress], [other, otherEnd, otherAddress]]) {
    ip("-n", machine, "addr", "add", address, "dev", end);
    ip("-n", machine, "link", "set", end, "up");
  }
}

/** Chromium on a machine. */
async function chromiumOn(machine, scratch, use) {
  const script = join(scratch.folder, "chromium");
  writeFileSync(script, `#!/bin/sh\nexec ${on(machine).join(" ")} ${process.env.BEACH_CHROMIUM ?? "/usr/bin/chromium"} "$@"\n`);
  chmodSync(script, 0o755);
  const elsewhere = await browser(script);
  try {
    await use(elsewhere);
  } finally {
    await elsewhere.close();
  }
}

/** Two machines with a cable between them: 10.77.0.1, where the host is, and 10.77.0.2, where the browser is. */
export async function twoMachines(scratch, use) {
  await machines(["h", "g"], async ({ h, g }) => {
    cable([h, "v0", "10.77.0.1/24"], [g, "v0", "10.77.0.2/24"]);
    const loses = (part) => {
      for (const machine of [h, g]) within(machine, "iptables", "-A", "INPUT", "-i", "v0", "-m", "statistic", "--mode", "random", "--probability", part, "-j", "DROP");
    };
    const plugged = (state) => ip("-n", g, "link", "set", "v0", state);
    await chromiumOn(g, scratch, (elsewhere) => use({ elsewhere, wrap: on(h), loses, cable: plugged }));
  });
}

/** Why there can be no {@link farMachines} here; nothing if there can. */
export function lacksTun() {
  try {
    closeSync(openSync("/dev/net/tun", "r+"));
    return undefined;
  } catch (error) {
    return `/dev/net/tun cannot be opened (${error.code})`;
  }
}

/** The same two machines, with a link between them that is slow and may lose packets: see link.pl. */
export async function farMachines(scratch, delay, use) {
  await machines(["h", "g"], async ({ h, g }) => {
    const script = fileURLToPath(new URL("link.pl", import.meta.url));
    const link = scratch.run("perl", [script, h, g, String(delay)]);
    await eventually("the link is there", () => link.stdout.includes("ready")).catch((error) => {
      throw new Error(`${error.message}: ${link.stderr}`);
    });
    for (const [machine, own, other] of [[h, "10.77.0.1", "10.77.0.2"], [g, "10.77.0.2", "10.77.0.1"]]) {
      ip("-n", machine, "addr", "add", own, "peer", other, "dev", "tun0");
      ip("-n", machine, "link", "set", "tun0", "up");
    }
    const loses = (percent) => link.child.stdin.write(`${percent}\n`);
    await chromiumOn(g, scratch, (elsewhere) => use({ elsewhere, wrap: on(h), loses }));
    link.child.kill();
  });
}

/** Where the rendezvous and the TURN server of {@link apart} are. */
export const PUBLIC = "10.77.0.1";

/** Two machines that reach a third, where a rendezvous may be, and each other over TCP alone. Later, nobody has any UDP. */
export async function apart(scratch, use) {
  await machines(["p", "h", "g"], async ({ p, h, g }) => {
    ip("-n", p, "addr", "add", `${PUBLIC}/32`, "dev", "lo");
    for (const [machine, at] of [[h, 1], [g, 2]]) {
      cable([p, `v${at}`, `10.77.${at}.1/24`], [machine, "v0", `10.77.${at}.2/24`]);
      ip("-n", machine, "route", "add", "default", "via", `10.77.${at}.1`);
    }
    within(p, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    within(p, "iptables", "-A", "FORWARD", "-p", "udp", "-j", "DROP");
    const noUdp = () => within(p, "iptables", "-A", "INPUT", "!", "-i", "lo", "-p", "udp", "-j", "DROP");
    await chromiumOn(g, scratch, (elsewhere) => use({ elsewhere, host: on(h), middle: on(p), noUdp }));
  });
}

/** coturn at {@link PUBLIC}, with credentials made from this secret. */
export async function coturn(scratch, wrap, secret) {
  const options = ["-n", "--no-cli", "--no-tls", "--no-dtls", "--listening-port", "3478", "--realm", "beach.test", "--pidfile", "/dev/null"];
  const server = ["--use-auth-secret", "--static-auth-secret", secret, "--listening-ip", PUBLIC, "--relay-ip", PUBLIC];
  const process = scratch.run("turnserver", [...options, ...server, "--userdb", ":memory:", "--log-file", "stdout", "--simple-log"], wrap);
  const [command, ...before] = wrap;
  const listens = () => execFileSync(command, [...before, "ss", "-lnu"], { encoding: "utf8" }).includes(`${PUBLIC}:3478`);
  await eventually("coturn is there", listens).catch((error) => {
    throw new Error(`${error.message}: ${process.stdout} ${process.stderr}`);
  });
  return process;
}
