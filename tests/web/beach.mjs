// `beach` itself, as processes: hosts in panes of tmux or without a terminal, and viewers of the command line.

import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
export const BINARY = resolve(process.env.BEACH_BINARY ?? join(here, "../../target/debug/beach"));

const SETTINGS = `set -s exit-empty off
set -s escape-time 0
set -g default-terminal tmux-256color
set -as terminal-features ',*:RGB'
set -g status off
set -g remain-on-exit on
set -g remain-on-exit-format ''
set -g history-limit 50000
set -g allow-rename off
`;

/** Asks again and again until the answer is true; the deadline is in milliseconds. */
export async function eventually(what, question, within = 15_000) {
  const until = Date.now() + within;
  let last;
  for (;;) {
    last = await question();
    if (last) return last;
    if (Date.now() > until) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** A folder, a home for the programs of one test, and everything that runs in it. */
export class Scratch {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "beach-web-"));
    this.children = [];
    this.panes = 0;
    this.socket = undefined;
  }

  get environment() {
    const PATH = `${dirname(BINARY)}:${process.env.PATH}`;
    return { PATH, HOME: this.folder, USER: "tester", LANG: "C.UTF-8", TERM: "xterm-256color", SHELL: "/bin/sh", PS1: "$ ", HISTFILE: "/dev/null" };
  }

  /** A process; what it says is kept, line by line. */
  run(program, args, wrap = []) {
    const [command, ...rest] = [...wrap, program, ...args];
    const child = spawn(command, rest, { cwd: this.folder, env: this.environment, stdio: ["pipe", "pipe", "pipe"] });
    const process = { child, stdout: "", stderr: "", code: undefined };
    child.stdout.on("data", (data) => (process.stdout += data));
    child.stderr.on("data", (data) => (process.stderr += data));
    child.on("close", (code) => (process.code = code ?? -1));
    child.on("error", (error) => (process.stderr += error));
    this.children.push(child);
    return process;
  }

  /** One command of beach, to its end. */
  beach(...args) {
    return new Promise((resolve, reject) => {
      execFile(BINARY, args, { cwd: this.folder, env: this.environment }, (error, stdout, stderr) => {
        if (error) reject(new Error(`beach ${args.join(" ")}: ${stderr}`));
        else resolve(stdout);
      });
    });
  }

  tmux(...args) {
    const environment = { ...this.environment, COLORTERM: "truecolor", TMUX_TMPDIR: this.folder };
    const base = ["-L", "web"];
    if (!this.socket) {
      this.socket = "web";
      writeFileSync(join(this.folder, "tmux.conf"), SETTINGS);
      execFileSync("tmux", [...base, "-f", join(this.folder, "tmux.conf"), "start-server"], { cwd: this.folder, env: environment });
    }
    return execFileSync("tmux", [...base, ...args], { cwd: this.folder, env: environment, encoding: "utf8" });
  }

  pane(script, { cols = 80, rows = 24, wrap = [] } = {}) {
    const name = `pane${(this.panes += 1)}`;
    this.tmux("new-session", "-d", "-s", name, "-x", String(cols), "-y", String(rows), "--", ...wrap, "sh", "-c", script);
    return new Pane(this, name);
  }

  async end() {
    if (this.socket) {
      try {
        this.tmux("kill-server");
      } catch {
        // It is gone already.
      }
    }
    // A program that hears of the end of its terminal may still write, and a folder that fills again cannot be removed.
    await eventually("all programs have ended", () => {
      const left = this.running();
      for (const pid of left) kill(pid);
      return left.length === 0;
    });
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  /** All programs that were started here, and those that they started: they have this folder as their home. */
  running() {
    const isHere = (pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`HOME=${this.folder}`);
      } catch {
        return false;
      }
    };
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isHere(name)).map(Number);
  }
}

function kill(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

export class Pane {
  constructor(scratch, name) {
    Object.assign(this, { scratch, name });
  }

  /** The rows as text. */
  text() {
    return this.scratch.tmux("capture-pane", "-p", "-t", this.name);
  }

  /** The rows with their colours and attributes, as escape sequences. */
  styled() {
    return this.scratch.tmux("capture-pane", "-e", "-p", "-N", "-t", this.name);
  }

  keys(...keys) {
    this.scratch.tmux("send-keys", "-t", this.name, ...keys);
  }

  literal(text) {
    this.scratch.tmux("send-keys", "-t", this.name, "-l", text);
  }

  resize(cols, rows) {
    this.scratch.tmux("resize-window", "-t", this.name, "-x", String(cols), "-y", String(rows));
  }

  pid() {
    return Number(this.scratch.tmux("display-message", "-p", "-t", this.name, "#{pane_pid}").trim());
  }

  shows(text, within) {
    return eventually(`the pane shows ${JSON.stringify(text)}`, () => this.text().includes(text), within).catch((error) => {
      throw new Error(`${error.message}\n${this.text()}`);
    });
  }
}

/** The links of a session, in the long form. */
async function linksOf(scratch) {
  const ask = async () => {
    try {
      const [line] = (await scratch.beach("status", "--json")).trim().split("\n");
      const told = JSON.parse(line);
      return told.view && told.rendezvous === "connected" ? told : undefined;
    } catch {
      return undefined;
    }
  };
  const told = await eventually("the session is there", ask);
  return { control: told.join, view: told.view, shortControl: told.short_join, shortView: told.short_view, id: told.session };
}

/** `beach share` in a pane, with a shell or another command in it. */
export async function share(scratch, { args = "--no-approve", command = "", cols = 80, rows = 24, listen = "127.0.0.1:0", wrap = [] } = {}) {
  const script = `exec beach share --listen ${listen} ${args} ${command ? `-- ${command}` : ""}`;
  const pane = scratch.pane(script, { cols, rows, wrap });
  const links = await linksOf(scratch);
  return { pane, links };
}

/** `beach serve`, once it is there. */
export async function serve(scratch, listen, args, wrap = []) {
  const process = scratch.run(BINARY, ["serve", "--listen", listen, ...args], wrap);
  await eventually("the rendezvous is there", () => process.stderr.includes("http://")).catch((error) => {
    throw new Error(`${error.message}: ${process.stderr}`);
  });
  return process;
}

/** `beach share --headless --json`. */
export async function shareHeadless(scratch, args, command, wrap = []) {
  const listen = args.includes("--listen") || args.includes("--server") ? [] : ["--listen", "127.0.0.1:0"];
  const process = scratch.run(BINARY, ["share", "--headless", "--json", ...listen, ...args, "--", ...command], wrap);
  const events = () => process.stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const event = (type, within) => eventually(`the event ${type}; stderr: ${process.stderr}`, () => events().find((event) => event.type === type), within);
  const ready = await event("ready");
  return { process, events, event, links: { control: ready.join, view: ready.view } };
}
