// Pictures of the page's scenes (dev/mock.ts): node dev/look.mjs FOLDER [SCENE…]. Needs playwright-core of tests/web.
import { createServer } from "node:http";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const { chromium } = await import("../../tests/web/node_modules/playwright-core/index.mjs");
const [folder = "/tmp/look", ...wanted] = process.argv.slice(2);
const scenes = wanted.length > 0 ? wanted : ["joining", "approval", "failed", "live", "watching", "wide", "ended", "away", "paused", "said", "ask"];
mkdirSync(folder, { recursive: true });
const made = await build({
  entryPoints: { mock: "dev/mock.ts", page: "src/style/page.css" },
  bundle: true,
  format: "esm",
  target: "es2022",
  outdir: "/x",
  write: false,
});
const file = Object.fromEntries(made.outputFiles.map(({ path, contents }) => [path.split("/").pop(), contents]));
const html = readFileSync("src/index.html", "utf8").replaceAll("{assets}", "/web/x").replace("boot.js", "mock.js").replace(/.*rel="(preload|modulepreload)".*\n/g, "");
const server = createServer((asked, answer) => {
  const name = asked.url.split("/").pop();
  if (file[name]) answer.writeHead(200, { "content-type": name.endsWith("css") ? "text/css" : "text/javascript" }).end(file[name]);
  else answer.writeHead(200, { "content-type": "text/html" }).end(html);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
for (const scene of scenes) {
  for (const [size, options] of Object.entries({
    desktop: { viewport: { width: 1280, height: 800 } },
    phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  })) {
    for (const colorScheme of ["dark", "light"]) {
      const context = await browser.newContext({ ...options, colorScheme });
      const page = await context.newPage();
      page.on("pageerror", (error) => console.log(scene, error.stack));
      await page.goto(`http://127.0.0.1:${server.address().port}/s/x#${scene}`);
      await page.waitForTimeout(900);
      await page.screenshot({ path: join(folder, `${scene}-${size}-${colorScheme}.png`) });
      await context.close();
    }
  }
}
await browser.close();
server.close();
