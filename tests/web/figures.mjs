// The page's figures: node figures.mjs on loopback, node figures.mjs loss over a link of 100 ms round trip that loses packets, which
// needs root. A release build of beach counts: BEACH_BINARY=../../target/release/beach.

import { readFileSync, statSync } from "node:fs";
import { browser, Guest } from "./browser.mjs";
import { eventually, Scratch, shareHeadless } from "./beach.mjs";
import { farMachines } from "./machines.mjs";

const KEYS = Number(process.env.KEYS ?? 500);
const ROUNDS = Number(process.env.ROUNDS ?? 15);
const scratch = new Scratch();
const quantile = (sorted, part) => sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
const say = (name, text) => console.log(`${name.padEnd(28)} ${text}`);

/** Where pages are opened, and hosts run, when both are on this machine. */
const here = (chromium) => ({ elsewhere: chromium, flags: [], percent: 0, loses: () => {} });

/**
 * From each key to the screen that has its echo, in milliseconds. The keys come whether their echoes do or not, as in bench/, and nobody
 * asks the page anything meanwhile: that would take the page's time.
 */
async function echoesOver(link, keys, { shortest = 30, longest = 90 } = {}) {
  const { process, links } = await shareHeadless(scratch, ["--no-approve", ...link.flags], ["sh", "-c", "stty raw -echo; printf READY; exec stdbuf -o0 tr x ."], link.wrap);
  const guest = await Guest.open(link.elsewhere, links.control);
  await guest.live(30_000);
  await guest.shows("READY");
  await guest.page.evaluate(() => {
    const { terminal } = document.querySelector(".frame");
    [window.pressed, window.times] = [[], []];
    window.addEventListener("keydown", () => window.pressed.push(performance.now()), true);
    // A dot is no echo that could have been predicted. In the last column the cursor stays until the next one.
    const position = () => {
      const { active } = terminal.buffer;
      const row = active.baseY + active.cursorY;
      const isLast = active.cursorX === terminal.cols - 1 && (active.getLine(row)?.translateToString(true).length ?? 0) === terminal.cols;
      return row * terminal.cols + active.cursorX + (isLast ? 1 : 0);
    };
    const start = position();
    terminal.onWriteParsed(() => {
      while (window.times.length < position() - start) window.times.push(performance.now() - window.pressed[window.times.length]);
    });
  });
  link.loses(link.percent);
  for (let key = 0; key < keys; key += 1) {
    await guest.press("x");
    await new Promise((resolve) => setTimeout(resolve, shortest + Math.random() * (longest - shortest)));
  }
  // A key whose echo has not come by then is told as missing.
  await eventually("all echoes", () => guest.page.evaluate((count) => window.times.length >= count, keys), 20_000).catch(() => {});
  const times = await guest.page.evaluate(() => window.times);
  link.loses(0);
  await guest.close();
  process.child.kill();
  return times;
}

if (process.argv[2] === "loss") {
  try {
    for (const percent of [0, 5, 20]) {
      await farMachines(scratch, 50, async (link) => {
        const [times, sessions, keys] = [[], 5, 200];
        for (let session = 0; session < sessions; session += 1) times.push(...(await echoesOver({ ...link, flags: ["--listen", "10.77.0.1:0"], percent }, keys)));
        times.sort((a, b) => a - b);
        say(`echo, 100 ms, ${percent} % lost`, `p50 ${quantile(times, 0.5).toFixed(0)}, p99 ${quantile(times, 0.99).toFixed(0)}, worst ${times.at(-1).toFixed(0)} ms of ${times.length}, ${sessions * keys - times.length} missing${percent === 20 ? " (goal 130/600)" : ""}`);
      });
    }
  } finally {
    await scratch.end();
  }
  process.exit(0);
}

const chromium = await browser();

/** Times of the page's main thread count while it has a processor: other programs of the machine are none of its work. */
const PROCESSOR_TIME = { timeDomain: "threadTicks" };

async function metrics(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

const dist = new URL("../../web/dist/", import.meta.url);
const weight = readFileSync(new URL("MANIFEST", dist), "utf8").split("\n").filter((line) => line.startsWith("file ")).map((line) => line.split(" ")[2]);
say("weight, gzip", weight.filter((name) => name !== "LICENSES.txt.gz").map((name) => `${name} ${Math.ceil(statSync(new URL(name, dist)).size / 1000)} kB`).join(", "));

try {
  const first = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const { process, links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
    const guest = await Guest.open(chromium, links.control);
    await guest.live();
    const marks = await eventually("the first screen is parsed", () =>
      guest.page.evaluate(() => performance.getEntriesByName("beach:first-screen").length && performance.getEntriesByType("mark").map(({ name, startTime }) => [name, startTime])),
    );
    const at = Object.fromEntries(marks);
    first.push(at["beach:first-screen"] - at["beach:script"]);
    if (round === ROUNDS - 1) say("marks of the last", marks.map(([name, time]) => `${name} ${(time - at["beach:script"]).toFixed(0)}`).join(", "));
    await guest.close();
    process.child.kill();
  }
  first.sort((a, b) => a - b);
  say("script to first screen", `median ${quantile(first, 0.5).toFixed(0)} ms, worst ${first.at(-1).toFixed(0)} ms (goal 300)`);

  const echo = (await echoesOver(here(chromium), KEYS, { shortest: 20, longest: 50 })).sort((a, b) => a - b);
  say("echo, keydown to parsed", `p50 ${quantile(echo, 0.5).toFixed(1)}, p99 ${quantile(echo, 0.99).toFixed(1)}, worst ${echo.at(-1).toFixed(1)} ms of ${echo.length} (goal p99 12)`);

  const flood = await shareHeadless(scratch, ["--no-approve"], ["sh", "-c", "read x; exec seq 1000000000"]);
  const watcher = await Guest.open(chromium, flood.links.control);
  await watcher.live();
  const session = await watcher.context.newCDPSession(watcher.page);
  await session.send("Performance.enable", PROCESSOR_TIME);
  await watcher.page.evaluate(() => {
    window.frames_seen = 0;
    document.querySelector(".frame").terminal.onWriteParsed(() => (window.frames_seen += 1));
  });
  // Numbers: a screen that is like the last one, as `yes` prints them, is no frame for the terminal.
  await watcher.type("\n");
  await watcher.shows("00");
  const [before, from] = [await metrics(session), await watcher.page.evaluate(() => [window.frames_seen, performance.now()])];
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const [afterwards, to] = [await metrics(session), await watcher.page.evaluate(() => [window.frames_seen, performance.now()])];
  const seconds = (to[1] - from[1]) / 1000;
  say("flood", `${((to[0] - from[0]) / seconds).toFixed(0)} frames/s (goal 50), main thread ${((afterwards.TaskDuration - before.TaskDuration) / seconds * 100).toFixed(0)} % (goal 25), script ${((afterwards.ScriptDuration - before.ScriptDuration) / seconds * 100).toFixed(0)} %, heap ${(afterwards.JSHeapUsedSize / 1e6).toFixed(1)} MB`);
  await watcher.close();
  flood.process.child.kill();

  const still = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const context = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.addInitScript(() => {
    window.wakes = { timers: 0, frames: 0 };
    const { setTimeout: timeout, requestAnimationFrame: frame } = window;
    window.setTimeout = (call, ...rest) => timeout(() => { window.wakes.timers += 1; call(); }, ...rest);
    window.requestAnimationFrame = (call) => frame((at) => { window.wakes.frames += 1; call(at); });
  });
  await page.goto(still.links.control);
  await eventually("the first screen", () => page.evaluate(() => document.body.classList.contains("is-live")));
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const cdp = await context.newCDPSession(page);
  await cdp.send("Performance.enable", PROCESSOR_TIME);
  const [quiet, wakes] = [await metrics(cdp), await page.evaluate(() => ({ ...window.wakes }))];
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  const [later, after] = [await metrics(cdp), await page.evaluate(() => ({ ...window.wakes }))];
  say("idle, 20 s", `${((after.timers - wakes.timers) / 20).toFixed(1)} timers/s (goal 3), ${((after.frames - wakes.frames) / 20).toFixed(1)} frames/s (goal 0), main thread ${((later.TaskDuration - quiet.TaskDuration) / 20 * 100).toFixed(2)} %`);
} finally {
  await chromium.close();
  await scratch.end();
}
