// Takes the pictures of the page in docs/web: node pictures.mjs. A real session of beach in each.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { browser, Guest } from "./browser.mjs";
import { Scratch, share, shareHeadless } from "./beach.mjs";

const folder = new URL("../../docs/web/", import.meta.url).pathname;
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const TIDE = `// Tides, from the sun and the moon.

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
    fn a_spring_tide_is_higher_than_a_neap_tide() {
        assert!(height(0.0) > height(7.4 * 24.0));
    }
}
`;

const chromium = await browser();
mkdirSync(folder, { recursive: true });

async function picture(name, links, options, prepare = async () => {}) {
  for (const colorScheme of ["dark", "light"]) {
    const guest = await Guest.open(chromium, links.control, { ...options, colorScheme });
    await prepare(guest);
    // Sentences about the join have gone, and the cursor's last place is painted.
    await guest.page.waitForTimeout(600);
    await guest.page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
    await guest.close();
  }
}

const scratch = new Scratch();
try {
  writeFileSync(join(scratch.folder, "tide.rs"), TIDE);
  const { pane, links } = await share(scratch, { cols: 90, rows: 28, args: "--no-approve" });
  pane.literal("vim -u NONE -c 'set nocp nu ls=2 bg=dark' -c 'syntax on' tide.rs\n");
  await pane.shows("spring tide");
  await picture("screen", links, DESKTOP, (guest) => guest.live());
  await picture("phone", links, PHONE, (guest) => guest.live());
} finally {
  await scratch.end();
}

const waits = new Scratch();
try {
  const { links } = await shareHeadless(waits, ["--approve"], ["sh"]);
  await picture("approval", links, DESKTOP, (guest) => guest.says("waiting for approval"));
} finally {
  await waits.end();
}
await chromium.close();
