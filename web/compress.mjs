// Compresses a file to gzip as small as can be: node compress.mjs FROM TO. The same bytes come out on every machine.
import { readFileSync, writeFileSync } from "node:fs";
import zopfli from "@gfx/zopfli";

const [from, to] = process.argv.slice(2);
writeFileSync(to, await zopfli.gzipAsync(readFileSync(from), { numiterations: 15 }));
