// The page in Chromium: opened, read out, and watched for what it must not do.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { eventually } from "./beach.mjs";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Chromium; `executable` may be a script that starts it elsewhere. */
export async function browser(executable = process.env.BEACH_CHROMIUM ?? "/usr/bin/chromium") {
  return chromium.launch({ executablePath: executable, headless: true, args: FLAGS });
}

/** A page in a context of its own, which notes every violation and every request elsewhere. */
export class Guest {
  /** `before` gets the context before the page is loaded. */
  static async open(chromium, link, { before, ...options } = {}) {
    const context = await chromium.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    await before?.(context);
    const guest = new Guest(context, await context.newPage());
    await guest.watch(link);
    await guest.page.goto(link);
    return guest;
  }

  constructor(context, page) {
    Object.assign(this, { context, page, faults: [], secret: "" });
  }

  async watch(link) {
    const { page } = this;
    const origin = new URL(link).origin;
    this.secret = new URL(link).hash.slice(1);
    await page.exposeFunction("noteFault", (fault) => this.faults.push(fault));
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        window.noteFault(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith("data:") && new URL(url).origin !== origin) this.faults.push(`asks another origin: ${url}`);
    });
    page.on("websocket", (socket) => {
      const { host, pathname, search } = new URL(socket.url());
      // With the session, for load balancers.
      if (host !== new URL(origin).host || !/^\/ws\?s=[\w-]{14}$/.test(pathname + search)) this.faults.push(`a WebSocket to ${socket.url()}`);
    });
    page.on("console", (message) => {
      if (message.text().includes(this.secret)) this.faults.push(`the key is in the console: ${message.text()}`);
      if (message.type() === "error" && !/ERR_|WebSocket connection to/.test(message.text())) this.faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.faults.push(`error: ${error.stack}`));
  }

  /** Waits for the first screen. */
  async live(within) {
    await eventually("the first screen", () => this.page.evaluate(() => document.body.classList.contains("is-live")), within).catch(async (error) => {
      throw new Error(`${error.message}\n${await this.words()}\n${this.faults.join("\n")}`);
    });
  }

  /** All words of the page outside of the terminal. */
  words() {
    return this.page.evaluate(() => document.body.innerText);
  }

  async says(text, within) {
    await eventually(`the page says ${JSON.stringify(text)}`, async () => (await this.words()).toLowerCase().includes(text.toLowerCase()), within).catch(async (error) => {
      throw new Error(`${error.message}; it says: ${await this.words()}`);
    });
  }

  /** The rows of the screen as text. */
  rows() {
    return this.page.evaluate(() => {
      const { terminal } = document.querySelector(".frame");
      const buffer = terminal.buffer.active;
      return Array.from({ length: terminal.rows }, (_, row) => buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? "");
    });
  }

  /** Everything above the screen, as text. */
  history() {
    return this.page.evaluate(() => {
      const buffer = document.querySelector(".frame").terminal.buffer.normal;
      return Array.from({ length: buffer.baseY }, (_, row) => buffer.getLine(row)?.translateToString(true) ?? "");
    });
  }

  async shows(text, within) {
    await eventually(`the page shows ${JSON.stringify(text)}`, async () => (await this.rows()).some((row) => row.includes(text)), within).catch(async (error) => {
      throw new Error(`${error.message}\n${(await this.rows()).join("\n")}`);
    });
  }

  /** Every cell of the screen, as `cells` of cells.mjs tells them. */
  cells() {
    return this.page.evaluate(`(${cellsOf})(document.querySelector(".frame").terminal)`);
  }

  size() {
    return this.page.evaluate(() => {
      const { terminal } = document.querySelector(".frame");
      return { cols: terminal.cols, rows: terminal.rows };
    });
  }

  /** Waits until keys go to the program: a menu or a dialog that closes gives the focus back a little later. */
  async takesKeys() {
    await eventually("the terminal has the focus", () => this.page.evaluate(() => document.activeElement?.className === "xterm-helper-textarea"));
  }

  type(text) {
    return this.page.keyboard.type(text);
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  paste(text) {
    return this.page.evaluate((text) => document.querySelector(".frame").terminal.paste(text), text);
  }

  /** Leaves, after a look at what the page did and what it keeps. */
  async close() {
    if (this.page.isClosed()) return;
    const kept = await this.page.evaluate(() =>
      JSON.stringify([document.title, location.href, history.state, { ...localStorage }, { ...sessionStorage }, document.cookie, document.body.innerText]),
    );
    if (this.secret) assert.ok(!kept.includes(this.secret), "the page keeps the key where others can read it");
    await this.context.close();
    assert.deepEqual(this.faults, []);
  }
}

/** Runs in the page and in node: the cells of an xterm.js. A style that cannot be seen is none. */
export function cellsOf(terminal) {
  const buffer = terminal.buffer.active;
  const rows = [];
  for (let row = 0; row < terminal.rows; row += 1) {
    const line = buffer.getLine(buffer.baseY + row);
    const cells = [];
    for (let col = 0; line && col < terminal.cols; col += 1) {
      const cell = line.getCell(col);
      if (!cell || cell.getWidth() === 0) continue;
      const chars = cell.getChars() || " ";
      const color = (isDefault, isPalette, value) => (isDefault ? "" : isPalette ? `${value}` : `#${value.toString(16).padStart(6, "0")}`);
      const attributes = ["Bold", "Italic", "Dim", "Underline", "Blink", "Inverse", "Invisible", "Strikethrough", "Overline"].filter((name) => cell[`is${name}`]());
      const background = color(cell.isBgDefault(), cell.isBgPalette(), cell.getBgColor());
      let foreground = color(cell.isFgDefault(), cell.isFgPalette(), cell.getFgColor());
      let seen = attributes;
      if (chars === " ") {
        seen = attributes.filter((name) => !["Bold", "Italic", "Dim", "Blink", "Invisible"].includes(name));
        if (seen.length === 0) foreground = "";
      }
      cells.push([chars, foreground, background, seen.join(" ")].join("|"));
    }
    while (cells.at(-1) === " |||") cells.pop();
    rows.push(cells);
  }
  return rows;
}
