// Keys that a keyboard on glass lacks, in a bar above it.

import type { Terminal } from "@xterm/xterm";
import { h } from "./dom.js";

type Modifier = "ctrl" | "alt";
/** Off, for the next key, or until it is pressed again. */
type Hold = "off" | "once" | "locked";

/** A held arrow repeats after this time, and then in this rhythm, in milliseconds. */
const REPEAT_AFTER_MS = 400;
const REPEAT_EACH_MS = 60;

/** The final letter of an arrow's sequence. */
const ARROWS: [string, string, string][] = [
  ["←", "D", "Left"],
  ["↓", "B", "Down"],
  ["↑", "A", "Up"],
  ["→", "C", "Right"],
];

export class TouchBar {
  readonly element = h("div.touch", { role: "toolbar", "aria-label": "Keys", hidden: true });
  readonly #buttons: Record<Modifier, HTMLButtonElement>;
  readonly #held: Record<Modifier, Hold> = { ctrl: "off", alt: "off" };
  #terminal: Terminal | undefined;

  constructor() {
    this.#buttons = { ctrl: this.#modifier("Ctrl", "ctrl"), alt: this.#modifier("Alt", "alt") };
    this.element.append(
      this.#key("Esc", "Escape", () => "\x1b"),
      this.#key("Tab", "Tab", () => "\t"),
      this.#buttons.ctrl,
      this.#buttons.alt,
      ...ARROWS.map(([sign, letter, name]) => this.#key(sign, name, () => this.#arrow(letter), "repeats")),
      ...["|", "~", "/", "-"].map((sign) => this.#key(sign, sign, () => sign)),
    );
  }

  attach(terminal: Terminal): void {
    this.#terminal = terminal;
  }

  /** A character from the keyboard on glass, with the modifiers that are held in the bar. */
  modified(data: string): string {
    if (this.#held.ctrl === "off" && this.#held.alt === "off") return data;
    if ([...data].length !== 1 || data === "\x1b") return data;
    let changed = data;
    if (this.#held.ctrl !== "off") changed = control(data) ?? data;
    if (this.#held.alt !== "off") changed = `\x1b${changed}`;
    this.#release();
    return changed;
  }

  #arrow(letter: string): string {
    const ctrl = this.#held.ctrl !== "off" ? 4 : 0;
    const alt = this.#held.alt !== "off" ? 2 : 0;
    this.#release();
    if (ctrl + alt > 0) return `\x1b[1;${1 + ctrl + alt}${letter}`;
    return this.#terminal?.modes.applicationCursorKeysMode ? `\x1bO${letter}` : `\x1b[${letter}`;
  }

  #release(): void {
    for (const name of ["ctrl", "alt"] as const) {
      if (this.#held[name] === "once") this.#hold(name, "off");
    }
  }

  #hold(name: Modifier, hold: Hold): void {
    this.#held[name] = hold;
    this.#buttons[name].dataset["hold"] = hold;
    this.#buttons[name].setAttribute("aria-pressed", String(hold !== "off"));
  }

  #modifier(words: string, name: Modifier): HTMLButtonElement {
    const next: Record<Hold, Hold> = { off: "once", once: "locked", locked: "off" };
    const button = this.#button(words, words);
    button.setAttribute("aria-pressed", "false");
    button.dataset["hold"] = "off";
    button.addEventListener("click", () => this.#hold(name, next[this.#held[name]]));
    return button;
  }

  #key(sign: string, name: string, data: () => string, repeats?: "repeats"): HTMLButtonElement {
    const button = this.#button(sign, name);
    const press = (): void => {
      this.#terminal?.input(data(), true);
    };
    button.addEventListener("click", press);
    if (repeats) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const again = (): void => {
        press();
        timer = setTimeout(again, REPEAT_EACH_MS);
      };
      const stop = (): void => clearTimeout(timer);
      button.addEventListener("pointerdown", () => {
        stop();
        timer = setTimeout(again, REPEAT_AFTER_MS);
      });
      for (const end of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(end, stop);
    }
    return button;
  }

  #button(sign: string, name: string): HTMLButtonElement {
    const button = h("button", { type: "button", tabindex: "-1", "aria-label": name }, sign);
    // The keyboard on glass stays: the terminal keeps the focus.
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("mousedown", (event) => event.preventDefault());
    return button;
  }
}

/** The control character of a key, as terminals send it. */
function control(key: string): string | undefined {
  const code = key.toUpperCase().charCodeAt(0);
  if (key === " ") return "\0";
  if (key === "?") return "\x7f";
  return code >= 0x40 && code < 0x60 ? String.fromCharCode(code & 0x1f) : undefined;
}
