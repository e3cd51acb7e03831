// The beginning: takes the link out of the address bar, and starts everything that takes time at once.

import { load } from "./machine.js";
import { Page } from "./page.js";
import { connect } from "./signal.js";

// Nothing of the link stays in the page but in the machine: no history, no title, no storage, no message has it.
performance.mark("beach:script");
const link = location.href;
const hasKey = location.hash.length > 1;
history.replaceState(null, "", location.pathname);

const assets = new URL(".", import.meta.url);
const machine = load(new URL("beach.wasm", assets));
const screen = import("./screen.js");
const page = new Page(assets, machine, screen, hasKey ? connect() : undefined);
void page.open(hasKey ? link : undefined);
