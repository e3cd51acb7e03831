// Takes the pictures of the page in docs/web, or in another folder: node pictures.mjs [FOLDER]. A real session of beach in each.

import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { browser, Guest } from "./browser.mjs";
import { Scratch, share, shareHeadless } from "./beach.mjs";

const folder = resolve(process.argv[2] ?? fileURLToPath(new URL("../../docs/web", import.meta.url)));
const SIZES = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};
const TIDE = `// Tides, from the sun and the moon.

use std::f64::consts::TAU;

/// The height of the water, in metres above the mean.
pub fn height(hours: f64) -> f64 {
    // The moon's part has a period of 12 h 25 min, the sun's one of 12 h.
    let moon = 1.2 * (TAU * hours / 12.42).cos();
    let sun = 0.5 * (TAU * hours / 12.0).cos();
    moon + sun
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spring_tide_is_higher() {
        assert!(height(0.0) > height(7.4 * 24.0));
    }
}
`;
const NEWER = TIDE.replace("1.2 *", "MOON *").replace("0.5 *", "SUN *").replace("/// The height", "const MOON: f64 = 1.2;\nconst SUN: f64 = 0.5;\n\n/// The height");
const VIM = "vim -u NONE -c 'set nocp nu ls=2 ru bg=dark noswf shm+=F' -c 'syntax on'";

const chromium = await browser();
mkdirSync(folder, { recursive: true });

/** Pictures of what `link` opens: on a desk and on a phone, dark and light. */
async function pictures(state, link, ready) {
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of ["dark", "light"]) {
      const guest = await Guest.open(chromium, link, { ...options, colorScheme });
      await ready(guest);
      // All that moves has come to rest.
      await guest.page.waitForTimeout(600);
      await guest.page.screenshot({ path: join(folder, `${state}-${size}-${colorScheme}.png`) });
      await guest.close();
    }
  }
}

async function withScratch(run) {
  const scratch = new Scratch();
  try {
    await run(scratch);
  } finally {
    await scratch.end();
  }
}

try {
  await withScratch(async (scratch) => {
    writeFileSync(join(scratch.folder, "tide.rs"), TIDE);
    const { pane, links } = await share(scratch, { command: `${VIM} tide.rs` });
    await pane.shows("a_spring_tide");
    await pictures("live", links.control, (guest) => guest.live());
    const [place, key] = links.control.split("#");
    await pictures("failure", `${place}#${key.slice(0, -4)}${key.endsWith("AAAA") ? "BBBA" : "AAAA"}`, (guest) => guest.says("another key"));
  });
  await withScratch(async (scratch) => {
    writeFileSync(join(scratch.folder, "tide.rs"), TIDE);
    writeFileSync(join(scratch.folder, "tide-new.rs"), NEWER);
    const { pane, links } = await share(scratch);
    pane.literal("clear; git --no-pager -c color.ui=always diff --no-index tide.rs tide-new.rs\n");
    await pane.shows("const MOON");
    await pictures("watching", links.view, (guest) => guest.live());
  });
  await withScratch(async (scratch) => {
    const { links } = await shareHeadless(scratch, ["--approve"], ["sh"]);
    await pictures("approval", links.control, (guest) => guest.page.locator(".words li").nth(3).waitFor());
  });
} finally {
  await chromium.close();
}
