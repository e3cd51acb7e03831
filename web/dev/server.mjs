// Serves a built page for development: node dev/server.mjs FOLDER PORT [RENDEZVOUS]. The WebSocket goes on to the rendezvous.
import { createReadStream, existsSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";

const [folder = "dist", port = "0", rendezvous = "http://127.0.0.1:8080"] = process.argv.slice(2);
const TYPES = { js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", wasm: "application/wasm", txt: "text/plain; charset=utf-8" };
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; " +
  "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const server = createServer((asked, answer) => {
  const path = new URL(asked.url, "http://x").pathname;
  const name = path.match(/^\/web\/[^/]+\/([\w.]+)$/)?.[1];
  if (!name) {
    answer.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY, "referrer-policy": "no-referrer", "cache-control": "no-store" });
    createReadStream(join(folder, "index.html")).pipe(answer);
  } else if (existsSync(join(folder, `${name}.gz`))) {
    answer.writeHead(200, { "content-type": TYPES[name.split(".").pop()], "content-encoding": "gzip" });
    createReadStream(join(folder, `${name}.gz`)).pipe(answer);
  } else {
    answer.writeHead(404).end();
  }
});
server.on("upgrade", (asked, socket, head) => {
  const on = request(new URL(asked.url, rendezvous), { headers: { ...asked.headers, host: new URL(rendezvous).host, origin: rendezvous } });
  on.on("upgrade", (answer, upstream, first) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${answer.rawHeaders.reduce((all, text, at) => all + text + (at % 2 ? "\r\n" : ": "), "")}\r\n`);
    socket.write(first);
    upstream.write(head);
    upstream.pipe(socket).pipe(upstream);
    for (const end of [upstream, socket]) end.on("error", () => (upstream.destroy(), socket.destroy()));
  });
  on.on("error", () => socket.destroy());
  on.end();
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
