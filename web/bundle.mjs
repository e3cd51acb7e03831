// Bundles the page into the folder that is the first argument: `boot.js`, `screen.js`, `webgl.js`, `page.css`. The same sources give the same
// bytes.
import { build } from "esbuild";

const outdir = process.argv[2] ?? "made";
const shared = {
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  outdir,
};

// Three files with fixed names: what dials, which is small, what shows, and what shows by a graphics card. Each loads the next one itself.
const lazily = {
  name: "lazily",
  setup(plugin) {
    plugin.onResolve({ filter: /^\.\/(screen|webgl)\.js$/ }, (found) =>
      found.kind === "dynamic-import" ? { path: found.path, external: true } : undefined,
    );
  },
};
// Chromium compiles all functions of a file that begins so while it loads the file, by other threads than the page's.
const banner = { js: "//# allFunctionsCalledOnLoad" };
await build({ ...shared, banner, entryPoints: { boot: "src/boot.ts", screen: "src/screen.ts" }, plugins: [lazily] });
await build({ ...shared, entryPoints: { webgl: "src/webgl.ts" } });
await build({ ...shared, entryPoints: { page: "src/style/page.css" } });
