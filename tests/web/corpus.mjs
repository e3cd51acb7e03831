// Replays recordings by the machine of the page: node corpus.mjs WASM FOLDER.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [wasm, folder] = process.argv.slice(2);
const compiled = await WebAssembly.compile(readFileSync(wasm));
const files = readdirSync(folder).filter((name) => name.endsWith(".beach"));
assert.ok(files.length > 0, `no recordings in ${folder}`);
let painted = 0;
for (const name of files) {
  let said = "";
  let memory;
  const imports = {
    beach: {
      perform(what, _peer, at, length) {
        const bytes = new Uint8Array(memory.buffer, at, length);
        if (what === 36) painted += length;
        if (what === 37) said += new TextDecoder().decode(bytes);
      },
      random: (at, length) => crypto.getRandomValues(new Uint8Array(memory.buffer, at, length)),
    },
  };
  const { exports } = await WebAssembly.instantiate(compiled, imports);
  memory = exports.memory;
  const file = readFileSync(join(folder, name));
  const at = exports.room(file.length);
  new Uint8Array(memory.buffer, at, file.length).set(file);
  assert.equal(exports.replay(file.length), 0, `${name}: ${said}`);
}
assert.ok(painted > 0);
console.log(`${files.length} recordings replayed, ${painted} bytes painted as recorded`);
