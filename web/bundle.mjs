// Bundles the page into the folder that is the first argument: `boot.js`, `screen.js`, `page.css`. The same sources give the same bytes.
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

// Two files with fixed names: what dials, which is small, and what shows. `boot.js` loads `screen.js` itself.
const lazily = {
  name: "screen",
  setup(plugin) {
    plugin.onResolve({ filter: /^\.\/screen\.js$/ }, (found) =>
      found.kind === "dynamic-import" ? { path: "./screen.js", external: true } : undefined,
    );
  },
};
await build({ ...shared, entryPoints: { boot: "src/boot.ts" }, plugins: [lazily] });
await build({ ...shared, entryPoints: { screen: "src/screen.ts" } });
await build({ ...shared, entryPoints: { page: "src/style/page.css" } });
