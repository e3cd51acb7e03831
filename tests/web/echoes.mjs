// From a key to its echo: in the page, in the page of ttyd, and at `beach join`.

import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import headless from "@xterm/headless";
import { BINARY, eventually, shareHeadless } from "./beach.mjs";
import { Guest } from "./browser.mjs";

/** Writes back a dot for each x: no echo that could have been predicted. */
const PROGRAM = ["sh", "-c", "stty raw -echo; printf READY; exec stdbuf -o0 tr x ."];

/** The pause between two keys, in milliseconds: at least and at most. The keys come whether their echoes do or not, as in bench/. */
export const USUAL_PACE = { shortest: 30, longest: 90 };

/** A person who opens a page looks at it before the first key. Meanwhile the page starts its WebGL renderer, which takes its only thread. */
const LOOKS_MS = 500;
const looks = () => new Promise((resolve) => setTimeout(resolve, LOOKS_MS));

const pause = ({ shortest, longest }) => new Promise((resolve) => setTimeout(resolve, shortest + Math.random() * (longest - shortest)));

/** Runs in pages and in node: how many cells are before the cursor. In the last column the cursor stays until the next character. */
function placeOf(terminal) {
  const { active } = terminal.buffer;
  const row = active.baseY + active.cursorY;
  const isLast = active.cursorX === terminal.cols - 1 && (active.getLine(row)?.translateToString(true).length ?? 0) === terminal.cols;
  return row * terminal.cols + active.cursorX + (isLast ? 1 : 0);
}

/** Runs in pages: notes the time of each key, and how long its echo took to be parsed. */
function watch(terminal, placeOf) {
  [window.pressed, window.times] = [[], []];
  window.addEventListener("keydown", () => window.pressed.push(performance.now()), true);
  const start = placeOf(terminal);
  terminal.onWriteParsed(() => {
    while (window.times.length < placeOf(terminal) - start) window.times.push(performance.now() - window.pressed[window.times.length]);
  });
}

/**
 * From each key to the screen that has its echo, in milliseconds, in a page whose terminal is `terminal`, an expression. Nobody asks the
 * page anything meanwhile: that would take the page's time. A key whose echo does not come is missing.
 */
async function typed(page, terminal, keys, pace, ready = () => {}) {
  await page.evaluate(`(${watch})(${terminal}, ${placeOf})`);
  ready();
  await looks();
  for (let key = 0; key < keys; key += 1) {
    await page.keyboard.press("x");
    await pause(pace);
  }
  await eventually("all echoes", () => page.evaluate((count) => window.times.length >= count, keys), 20_000).catch(() => {});
  return page.evaluate(() => window.times);
}

/** The same in beach's page, over a link: see `farMachines`. */
export async function echoesOver(scratch, link, keys, pace = USUAL_PACE) {
  const { process, links } = await shareHeadless(scratch, ["--no-approve", ...link.flags], PROGRAM, link.wrap);
  const guest = await Guest.open(link.elsewhere, links.control);
  await guest.live(30_000);
  await guest.shows("READY");
  const times = await typed(guest.page, 'document.querySelector(".frame").terminal', keys, pace, () => link.loses(link.percent));
  link.loses(0);
  await guest.close();
  process.child.kill();
  return times;
}

/**
 * The same at `beach join`, and its time from the start of the process to the first screen. Its terminal is that of script(1), which passes
 * on each key and all output; a time ends when the output is here that has the echo.
 */
export async function echoesOfJoin(scratch, keys, pace) {
  const { process, links } = await shareHeadless(scratch, ["--no-approve"], PROGRAM);
  const terminal = new headless.Terminal({ cols: 80, rows: 24, allowProposedApi: true });
  const started = performance.now();
  const viewer = scratch.run("script", ["-qefc", `stty cols 80 rows 24; exec ${BINARY} join '${links.control}'`, "/dev/null"]);
  const [pressed, times] = [[], []];
  let first;
  let start;
  terminal.onData((answer) => viewer.child.stdin.write(answer));
  viewer.child.stdout.on("data", (bytes) => {
    const at = performance.now();
    terminal.write(bytes, () => {
      const { active } = terminal.buffer;
      if (start === undefined) {
        if (!active.getLine(active.baseY)?.translateToString(true).startsWith("READY")) return;
        [first, start] = [at - started, placeOf(terminal)];
      }
      while (times.length < placeOf(terminal) - start) times.push(at - pressed[times.length]);
    });
  });
  await eventually("the first screen of beach join", () => start !== undefined).catch((error) => {
    throw new Error(`${error.message}: ${viewer.stdout} ${viewer.stderr}`);
  });
  await looks();
  for (let key = 0; key < keys; key += 1) {
    pressed.push(performance.now());
    viewer.child.stdin.write("x");
    await pause(pace);
  }
  await eventually("all echoes", () => times.length >= keys, 20_000).catch(() => {});
  for (const { child } of [viewer, process]) child.kill();
  return { times, first };
}

/** Whether there is a ttyd here: a program that shows a terminal on a page, over a WebSocket. */
export function hasTtyd() {
  return spawnSync("ttyd", ["--version"]).status === 0;
}

/** A port on which nobody listens. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The same in the page of ttyd, and its time from the request to the first screen. */
export async function echoesOfTtyd(scratch, chromium, keys, pace) {
  const address = `http://127.0.0.1:${await freePort()}/`;
  // Older versions let everybody type, and do not know the flag.
  const { stdout, stderr } = spawnSync("ttyd", ["--help"], { encoding: "utf8" });
  const writable = `${stdout}${stderr}`.includes("--writable") ? ["--writable"] : [];
  const server = scratch.run("ttyd", ["--interface", "lo", "--port", new URL(address).port, ...writable, ...PROGRAM]);
  await eventually("ttyd is there", () => fetch(address).then((answer) => answer.ok, () => false)).catch((error) => {
    throw new Error(`${error.message}: ${server.stderr}`);
  });
  const context = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.addInitScript(() => {
    let terminal;
    // ttyd keeps its terminal there.
    Object.defineProperty(window, "term", {
      get: () => terminal,
      set: (made) => {
        terminal = made;
        made.onWriteParsed(() => (window.first ??= performance.now()));
      },
    });
  });
  await page.goto(address);
  const shows = () => page.evaluate(() => window.term?.buffer.active.getLine(0)?.translateToString(true).startsWith("READY") ?? false);
  await eventually("the first screen of ttyd", shows);
  await page.evaluate(() => window.term.focus());
  const times = await typed(page, "window.term", keys, pace);
  const first = await page.evaluate(() => window.first);
  await context.close();
  server.child.kill();
  return { times, first };
}
