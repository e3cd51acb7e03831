// What every test needs: one browser for a file, a scratch folder for a test, and an end for all of it.

import { after, before, test } from "node:test";
import { browser, Guest } from "./browser.mjs";
import { Scratch } from "./beach.mjs";

let chromium;

before(async () => {
  chromium = await browser();
});

after(async () => {
  await chromium?.close();
});

/**
 * A test with a scratch folder and guests; all of them are closed and looked at, also after a failure. `lacks` tells what this machine
 * lacks for the test, which is then skipped; in CI that is a failure.
 */
export function story(name, run, { timeout = 90_000, lacks = () => undefined } = {}) {
  test(name, { timeout }, async (context) => {
    const missing = lacks();
    if (missing) {
      if (process.env.CI) throw new Error(missing);
      console.error(`!!! SKIPPED: ${name}: ${missing}`);
      context.skip(missing);
      return;
    }
    const scratch = new Scratch();
    const guests = [];
    const open = async (link, options = {}) => {
      const { in: elsewhere, ...rest } = options;
      const guest = await Guest.open(elsewhere ?? chromium, link, rest);
      guests.push(guest);
      return guest;
    };
    try {
      await run({ scratch, open, context });
      for (const guest of guests) await guest.close();
    } finally {
      for (const guest of guests) await guest.context.close().catch(() => {});
      await scratch.end();
    }
  });
}
