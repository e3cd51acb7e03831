// Two servers that share a directory. A page goes to no other server by itself: the one that it came from carries it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { connect, createServer } from "node:net";
import { eventually, serve, shareHeadless } from "./beach.mjs";
import { story } from "./session.mjs";

/** The program of Debian's `redis-tools`, which is the server if its name says so: see tests/src/real/nodes.rs. */
const REDIS = "redis-check-rdb";

function lacksRedis() {
  try {
    execFileSync("sh", ["-c", `command -v ${REDIS}`], { stdio: "ignore" });
    return undefined;
  } catch {
    return `${REDIS} is not installed`;
  }
}

/** A port on which nobody listens. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket.on("connect", () => socket.destroy());
    socket.on("error", () => resolve(false));
  });
}

/** A Redis server that keeps nothing on disk; its URL. */
async function redis(scratch) {
  const port = await freePort();
  // Redis would write its title over its environment, by which its process is found at the end.
  const keepsEnvironment = ["--set-proc-title", "no"];
  const options = ["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no", ...keepsEnvironment];
  scratch.run("bash", ["-c", `exec -a redis-server ${REDIS} "$@"`, "bash", ...options]);
  await eventually("Redis is there", () => listens(port));
  return `redis://127.0.0.1:${port}`;
}

/** A server that shares this directory. */
async function node(scratch, directory) {
  const [port, monitored] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const options = ["--redis", directory, "--place", url, "--metrics-listen", `127.0.0.1:${monitored}`];
  const process = await serve(scratch, `127.0.0.1:${port}`, options);
  const metric = async (name) => {
    const text = await (await fetch(`http://127.0.0.1:${monitored}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
  };
  await eventually("the directory is up", async () => (await metric("beach_directory_up")) === 1);
  return { process, url, metric };
}

story("a page that comes to another server than its host is carried there, and types on when that server has ended", async ({ scratch, open }) => {
  const directory = await redis(scratch);
  const [a, b] = [await node(scratch, directory), await node(scratch, directory)];
  const { links } = await shareHeadless(scratch, ["--no-approve", "--server", a.url], ["sh"]);
  assert.ok(links.control.startsWith(`${a.url}/`), links.control);
  const guest = await open(links.control.replace(a.url, b.url));
  await guest.live();
  await guest.type("echo carried-$((6*7))\n");
  await guest.shows("carried-42");
  assert.equal(await b.metric("beach_pipes"), 1);
  assert.equal(await a.metric("beach_links"), 1);

  b.process.child.kill("SIGTERM");
  await eventually("the server that carried the page has ended", () => b.process.code !== undefined, 40_000);
  assert.equal(b.process.code, 0, b.process.stderr);
  await guest.type("echo alone-$((1+1))\n");
  await guest.shows("alone-2");
}, { lacks: lacksRedis });
