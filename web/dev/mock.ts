// The page with a machine that only plays: to look at screens. The part behind # names the screen.

import { Happened, Perform } from "../src/codes.js";
import type { Machine, Wish } from "../src/machine.js";
import type { News } from "../src/news.js";
import { Page } from "../src/page.js";

const scene = location.hash.slice(1) || "live";
const text = new TextEncoder();

const news = (news: News): Wish => ({ what: Perform.News, peer: 0, bytes: text.encode(JSON.stringify(news)) });
const size = (cols: number, rows: number): Wish => ({ what: Perform.Size, peer: 0, bytes: new Uint8Array(Uint16Array.of(cols, rows).buffer) });
const show = (bytes: string): Wish => ({ what: Perform.Show, peer: 0, bytes: text.encode(bytes) });

const prompt = (command: string): string => `\x1b[1;32mann@reef\x1b[0m:\x1b[1;34m~/src/tide\x1b[0m$ ${command}\r\n`;
const SCREEN =
  prompt("git log --oneline --graph -5") +
  "* \x1b[33m9fe3c8f\x1b[0m (\x1b[1;36mHEAD -> \x1b[1;32mmain\x1b[0m) The gauge waits for the sensor, not for a count\r\n" +
  "* \x1b[33m7e48b45\x1b[0m The manual says what was tried where a goal is missed\r\n" +
  "* \x1b[33m77c4af2\x1b[0m Rows of doubtful width are drawn anew\r\n" +
  "* \x1b[33mc127c09\x1b[0m A blank row goes on in the next one\r\n\r\n" +
  prompt("cargo test -p tide-core") +
  "\x1b[1;32m   Compiling\x1b[0m tide-core v0.4.2\r\n\x1b[1;32m    Finished\x1b[0m `test` profile in 3.81s\r\n" +
  "\r\nrunning 4 tests\r\ntest ebb::falls_with_the_moon ... \x1b[32mok\x1b[0m\r\ntest flood::rises_twice_a_day ... \x1b[32mok\x1b[0m\r\n" +
  "test slack::is_short ... \x1b[32mok\x1b[0m\r\ntest spring::is_higher_than_neap ... \x1b[31mFAILED\x1b[0m\r\n\r\n" +
  "\x1b[31mtest result: FAILED\x1b[0m. 3 passed; \x1b[31m1 failed\x1b[0m; finished in 0.02s\r\n\r\n" +
  "\x1b[1;32mann@reef\x1b[0m:\x1b[1;34m~/src/tide\x1b[0m$ vim src/spring.rs";

const live: Wish[] = [
  news({ kind: "live", role: scene === "watching" ? "view" : "control" }),
  news({ kind: "path", way: "connected directly", text: "connected directly (192.0.2.7)", again: false }),
  news({ kind: "title", title: "ann@reef: ~/src/tide" }),
  news({
    kind: "members",
    members: [
      { number: 1, name: '"ann"', role: "control", types: false, you: false },
      { number: 2, name: '"bob"', role: "control", types: true, you: false },
      { number: 3, name: '"Chrome on Linux"', role: scene === "watching" ? "view" : "control", types: false, you: true },
    ],
    more: 0,
    host_types: true,
  }),
  size(scene === "wide" ? 160 : 80, scene === "wide" ? 48 : 24),
  show(SCREEN),
];
const failed = (what: string, why: string, advice: string): Wish => news({ kind: "exit", end: "failed", what, why, advice });

const SCENES: Record<string, Wish[]> = {
  joining: [news({ kind: "stage", stage: "checking_paths", words: "checking paths (1 local, 3 remote)" })],
  approval: [
    news({ kind: "check", words: ["anchor", "velvet", "copper", "ladder"] }),
    news({ kind: "stage", stage: "waiting_for_approval", words: "waiting for approval" }),
  ],
  failed: [
    failed(
      "no answer from the host after 15 s, while checking paths",
      "2 paths tried, none replied (192.0.2.7:40001 to 203.0.113.9:51820, 198.51.100.4:40001 to 203.0.113.9:51820)",
      "UDP is blocked here; use `beach join`, or ask for a TURN server",
    ),
  ],
  ended: [...live, news({ kind: "exit", end: "ended", what: "the session ended (exit code 0)", why: "", advice: "" })],
  away: [
    ...live,
    news({ kind: "away", text: "the other side sent nothing" }),
    news({ kind: "stage", stage: "reaching_rendezvous", words: "reaching rendezvous" }),
  ],
  paused: [...live, news({ kind: "paused", text: "the host paused the session; you see nothing new and cannot type." })],
  said: [
    ...live,
    news({ kind: "said", who: "host", text: "back in five minutes" }),
    news({ kind: "role", role: "control", text: "The host gave you the keyboard; you can type now." }),
    news({ kind: "clipboard", text: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB" }),
  ],
  live,
  watching: live,
  wide: live,
};

const machine = {
  start: (): [Wish[], number] => [SCENES[scene] ?? live, Infinity],
  happened: (_now: number, what: number): [Wish[], number] => {
    const status: News = { kind: "status", path: "connected directly (192.0.2.7)", round_trip: "round trip 3 ms" };
    return [what === Happened.Status ? [news(status)] : [], Infinity];
  },
  rehearse: () => {},
  width: (code: number) => (code > 0x2e80 ? 2 : 1),
} as unknown as Machine;

const page = new Page(new URL(`${location.origin}/web/0123456789abcdef/`, undefined), Promise.resolve(machine), import("../src/screen.js"), undefined);
void page.open(scene === "ask" ? undefined : "http://example.org/");
