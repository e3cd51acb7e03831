// The page's figures. A release build of beach counts: BEACH_BINARY=../../target/release/beach.
//   node figures.mjs            on loopback: weight, first screen, echo beside that of `beach join`, flood, idle
//   node figures.mjs loss       echo over a link of 100 ms round trip that loses packets; needs root
//   node figures.mjs profile    where the main thread's time goes in a join and in a flood
// BEACH_CHROMIUM may name another browser. ttyd's page is measured too where ttyd is found.

import { readFileSync, statSync } from "node:fs";
import { browser, Guest } from "./browser.mjs";
import { eventually, Scratch, shareHeadless } from "./beach.mjs";
import { echoesOfJoin, echoesOfTtyd, echoesOver, hasTtyd } from "./echoes.mjs";
import { farMachines } from "./machines.mjs";
import { profiled, tell } from "./profile.mjs";

const KEYS = Number(process.env.KEYS ?? 500);
const ROUNDS = Number(process.env.ROUNDS ?? 15);
/** The keys are typed in so many sessions, of each system in turn: what else the machine does weighs the same on all. */
const TURNS = 5;
/** A page is left alone for so long after its request. A join takes a third of it. */
const UNASKED_MS = 1500;
const FLOOD_MS = 5000;
const SIZE = { viewport: { width: 1280, height: 800 } };

const scratch = new Scratch();
const quantile = (sorted, part) => sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
const sorted = (times) => [...times].sort((a, b) => a - b);
const say = (name, text) => console.log(`${name.padEnd(28)} ${text}`);
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Where pages are opened, and hosts run, when both are on this machine. */
const here = (chromium) => ({ elsewhere: chromium, flags: [], percent: 0, loses: () => {} });

/** Times of the page's main thread count while it has a processor: other programs of the machine are none of its work. */
const PROCESSOR_TIME = { timeDomain: "threadTicks" };

async function metrics(session) {
  const { metrics } = await session.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

function weight() {
  const dist = new URL("../../web/dist/", import.meta.url);
  const files = readFileSync(new URL("MANIFEST", dist), "utf8").split("\n").filter((line) => line.startsWith("file ")).map((line) => line.split(" ")[2]);
  const sizes = files.filter((name) => name !== "LICENSES.txt.gz").map((name) => [name, Math.ceil(statSync(new URL(name, dist)).size / 1000)]);
  say("weight, gzip", `${sizes.map(([name, size]) => `${name} ${size} kB`).join(", ")}: ${sizes.reduce((sum, [, size]) => sum + size, 0)} kB (goal 450)`);
}

/** A fresh page, which nothing watches. */
async function blank(chromium) {
  const context = await chromium.newContext(SIZE);
  const page = await context.newPage();
  return { context, page, session: await context.newCDPSession(page) };
}

/** Opens a link, and leaves the page alone until its first screen is there: each question would take the page's time. */
async function join(page, link) {
  await page.goto(link);
  await wait(UNASKED_MS);
  await eventually("the first screen is parsed", () => page.evaluate(() => performance.getEntriesByName("beach:first-screen").length > 0));
}

async function firstScreens(chromium) {
  const [fromScript, fromRequest] = [[], []];
  let marks = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const { process, links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
    const { context, page } = await blank(chromium);
    await join(page, links.control);
    marks = await page.evaluate(() => performance.getEntriesByType("mark").map(({ name, startTime }) => [name, startTime]));
    const at = Object.fromEntries(marks);
    fromScript.push(at["beach:first-screen"] - at["beach:script"]);
    // The page's clock begins with the request.
    fromRequest.push(at["beach:first-screen"]);
    await context.close();
    process.child.kill();
  }
  const started = Object.fromEntries(marks)["beach:script"];
  say("marks of the last", marks.map(([name, time]) => `${name} ${(time - started).toFixed(0)}`).join(", "));
  const told = (times) => `median ${quantile(sorted(times), 0.5).toFixed(0)} ms, worst ${Math.max(...times).toFixed(0)} ms`;
  say("script to first screen", `${told(fromScript)} (goal 300)`);
  say("request to first screen", told(fromRequest));
}

async function echoes(chromium) {
  const pace = { shortest: 20, longest: 50 };
  const keys = Math.ceil(KEYS / TURNS);
  const firsts = { join: [], ttyd: [] };
  const times = { page: [], join: [], ...(hasTtyd() ? { ttyd: [] } : {}) };
  for (let turn = 0; turn < TURNS; turn += 1) {
    times.page.push(...(await echoesOver(scratch, here(chromium), keys, pace)));
    const others = { join: () => echoesOfJoin(scratch, keys, pace), ttyd: () => echoesOfTtyd(scratch, chromium, keys, pace) };
    for (const name of ["join", "ttyd"].filter((name) => name in times)) {
      const measured = await others[name]();
      times[name].push(...measured.times);
      firsts[name].push(measured.first);
    }
  }
  const told = (name) => {
    const all = sorted(times[name]);
    return `p50 ${quantile(all, 0.5).toFixed(1)}, p99 ${quantile(all, 0.99).toFixed(1)}, worst ${all.at(-1).toFixed(1)} ms of ${all.length} keys`;
  };
  const middle = (all) => quantile(sorted(all), 0.5);
  const goal = 1.5 * middle(times.join) + 2;
  say("beach join, first screen", `median ${middle(firsts.join).toFixed(0)} ms from the start of its process`);
  say("beach join, echo", told("join"));
  if (times.ttyd) {
    say("ttyd, first screen", `median ${middle(firsts.ttyd).toFixed(0)} ms from the request`);
    say("ttyd, echo", told("ttyd"));
  } else {
    say("ttyd", "not measured: there is none");
  }
  say("echo, keydown to parsed", `${told("page")} (goals: p50 ${goal.toFixed(1)}, which is 1.5 × beach join + 2; p99 12)`);
}

/** The page of a program that counts without end: a screen that is like the last one is no frame for the terminal. */
async function flooded(chromium, run) {
  const { process, links } = await shareHeadless(scratch, ["--no-approve"], ["sh", "-c", "read x; exec seq 1000000000"]);
  const watcher = await Guest.open(chromium, links.control);
  await watcher.live();
  await watcher.type("\n");
  await watcher.shows("00");
  await run(watcher.page, await watcher.context.newCDPSession(watcher.page));
  await watcher.close();
  process.child.kill();
}

async function flood(page, session) {
  await session.send("Performance.enable", PROCESSOR_TIME);
  await page.evaluate(() => {
    window.framesSeen = 0;
    document.querySelector(".frame").terminal.onWriteParsed(() => (window.framesSeen += 1));
  });
  const look = async () => ({ ...(await metrics(session)), ...(await page.evaluate(() => ({ frames: window.framesSeen, now: performance.now() }))) });
  const before = await look();
  await wait(FLOOD_MS);
  const after = await look();
  const seconds = (after.now - before.now) / 1000;
  const part = (name) => `${(((after[name] - before[name]) / seconds) * 100).toFixed(0)} %`;
  const parts = `script ${part("ScriptDuration")}, style ${part("RecalcStyleDuration")}, layout ${part("LayoutDuration")}`;
  say("flood", `${((after.frames - before.frames) / seconds).toFixed(0)} frames/s (goal 50), main thread ${part("TaskDuration")} (goal 25): ${parts}; heap ${(after.JSHeapUsedSize / 1e6).toFixed(1)} MB`);
}

async function idle(chromium) {
  const { process, links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const { context, page, session } = await blank(chromium);
  await page.addInitScript(() => {
    window.wakes = { timers: 0, frames: 0 };
    const { setTimeout: timeout, requestAnimationFrame: frame } = window;
    window.setTimeout = (call, ...rest) => timeout(() => { window.wakes.timers += 1; call(); }, ...rest);
    window.requestAnimationFrame = (call) => frame((at) => { window.wakes.frames += 1; call(at); });
  });
  await join(page, links.control);
  await wait(3000);
  await session.send("Performance.enable", PROCESSOR_TIME);
  const look = async () => ({ ...(await metrics(session)), ...(await page.evaluate(() => ({ ...window.wakes }))) });
  const before = await look();
  await wait(20_000);
  const after = await look();
  const each = (name) => (after[name] - before[name]) / 20;
  say("idle, 20 s", `${each("timers").toFixed(1)} timers/s (goal 3), ${each("frames").toFixed(1)} frames/s (goal 0), main thread ${(each("TaskDuration") * 100).toFixed(2)} %`);
  await context.close();
  process.child.kill();
}

async function overLossyLink() {
  for (const percent of [0, 5, 20]) {
    await farMachines(scratch, 50, async (link) => {
      const [times, sessions, keys] = [[], 5, 200];
      for (let session = 0; session < sessions; session += 1) times.push(...(await echoesOver(scratch, { ...link, flags: ["--listen", "10.77.0.1:0"], percent }, keys)));
      times.sort((a, b) => a - b);
      say(`echo, 100 ms, ${percent} % lost`, `p50 ${quantile(times, 0.5).toFixed(0)}, p99 ${quantile(times, 0.99).toFixed(0)}, worst ${times.at(-1).toFixed(0)} ms of ${times.length}, ${sessions * keys - times.length} missing${percent === 20 ? " (goal 130/600)" : ""}`);
    });
  }
}

async function profiles(chromium) {
  const { process, links } = await shareHeadless(scratch, ["--no-approve"], ["sh"]);
  const { context, page, session } = await blank(chromium);
  tell("join", await profiled(session, () => join(page, links.control)));
  await context.close();
  process.child.kill();
  await flooded(chromium, async (_, session) => tell(`flood of ${FLOOD_MS / 1000} s`, await profiled(session, () => wait(FLOOD_MS))));
}

async function onLoopback(chromium) {
  weight();
  await firstScreens(chromium);
  await echoes(chromium);
  await flooded(chromium, flood);
  await idle(chromium);
}

const run = { loss: overLossyLink, profile: profiles }[process.argv[2]] ?? onLoopback;
const chromium = run === overLossyLink ? undefined : await browser();
try {
  await run(chromium);
} finally {
  await chromium?.close();
  await scratch.end();
}
