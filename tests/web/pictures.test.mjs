// The pictures of the documents can be taken anew.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Scratch } from "./beach.mjs";

const docs = fileURLToPath(new URL("../../docs", import.meta.url));

/** Width and height of a PNG. */
function size(file) {
  const bytes = readFileSync(file);
  assert.equal(bytes.toString("latin1", 1, 4), "PNG", file);
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

test("every picture of docs/web is taken from a real session, and every one that is shown is there", { timeout: 180_000 }, async () => {
  const scratch = new Scratch();
  try {
    const taken = join(scratch.folder, "taken");
    await promisify(execFile)(process.execPath, [fileURLToPath(new URL("pictures.mjs", import.meta.url)), taken]);
    const committed = join(docs, "web");
    assert.deepEqual(readdirSync(taken).sort(), readdirSync(committed).sort());
    for (const name of readdirSync(taken)) {
      const wanted = name.includes("phone") ? [780, 1688] : [1280, 800];
      for (const folder of [taken, committed]) assert.deepEqual(size(join(folder, name)), wanted, name);
    }
  } finally {
    await scratch.end();
  }
  for (const [file, base] of [["../README.md", join(docs, "..")], ["GUIDE.md", docs]]) {
    const text = readFileSync(join(docs, file), "utf8");
    const shown = [...text.matchAll(/(?:src|srcset)="([^"]+\.png)"|\]\(([^)]+\.png)\)/g)].map((match) => match[1] ?? match[2]);
    assert.ok(shown.length > 0, `${file} shows no picture`);
    for (const picture of shown) assert.ok(existsSync(join(base, picture)), `${file}: ${picture}`);
  }
});
