// Notices over the screen: one banner that lasts as long as its reason, and sentences that go by themselves.

import { h } from "./dom.js";

/** Time to read a sentence of two lines, in milliseconds, as at `beach join`. */
const READABLE_MS = 4000;

/** More sentences at once than this hide the screen. */
const MOST_SENTENCES = 4;

export class Banner {
  readonly element = h("div.banner", { role: "status", hidden: true });
  #stage = "";
  #paused: string | undefined;
  #lost: string | undefined;
  #away: { since: number; again: ReturnType<typeof setInterval> } | undefined;

  get isAway(): boolean {
    return this.#away !== undefined;
  }

  stage(words: string): void {
    this.#stage = words;
    this.#draw();
  }

  away(): void {
    if (this.#away) return;
    // The one second that people see pass is the only timer of this page's own.
    this.#away = { since: Date.now(), again: setInterval(() => this.#draw(), 1000) };
    this.#draw();
  }

  back(): void {
    clearInterval(this.#away?.again);
    this.#away = undefined;
    this.#lost = undefined;
    this.#draw();
  }

  paused(text: string | null): void {
    this.#paused = text ?? undefined;
    this.#draw();
  }

  lost(text: string): void {
    this.#lost = text;
    this.#draw();
  }

  clear(): void {
    this.#paused = undefined;
    this.back();
  }

  #draw(): void {
    const away = this.#away;
    this.element.hidden = !away && !this.#paused;
    this.element.dataset["kind"] = away ? "away" : "paused";
    if (away) {
      const seconds = Math.max(0, Math.floor((Date.now() - away.since) / 1000));
      const kept = this.#lost ?? "What you type is kept.";
      this.element.replaceChildren(
        h("span.spinner", { "aria-hidden": "true" }),
        h("span", {}, `reconnecting, ${seconds} s (${this.#stage})`),
        h("span.quiet", {}, kept),
      );
    } else if (this.#paused) {
      this.element.replaceChildren(h("span", {}, this.#paused));
    }
  }
}

/** A thing that can be done about a sentence. */
export interface Choice {
  words: string;
  act: () => void;
}

export class Sentences {
  readonly element = h("div.sentences", { role: "log", "aria-live": "polite" });

  say(text: string, who?: string): void {
    for (const shown of this.element.children) {
      if (shown.textContent === (who ?? "") + text) shown.remove();
    }
    const sentence = h("div.sentence", {}, who ? h("span.who", {}, who) : null, h("span", {}, text));
    this.#add(sentence);
    setTimeout(() => this.#remove(sentence), READABLE_MS + 30 * text.length);
  }

  /** Stays until the person chooses or dismisses. */
  ask(text: string, detail: string | undefined, choices: Choice[]): () => void {
    const remove = (): void => this.#remove(sentence);
    const buttons = choices.map(({ words, act }, at) =>
      h(at === 0 ? "button.primary" : "button", {
        type: "button",
        click: () => {
          remove();
          act();
        },
      }, words),
    );
    const sentence = h(
      "div.sentence.is-question",
      { role: "alertdialog", "aria-label": text },
      h("span", {}, text),
      detail ? h("code", {}, detail) : null,
      h("div.actions", {}, ...buttons),
    );
    sentence.addEventListener("keydown", (event) => {
      if (event.key === "Escape") remove();
    });
    this.#add(sentence);
    return remove;
  }

  clear(): void {
    this.element.replaceChildren();
  }

  #add(sentence: HTMLElement): void {
    this.element.append(sentence);
    while (this.element.childElementCount > MOST_SENTENCES) this.element.firstElementChild?.remove();
  }

  #remove(sentence: HTMLElement): void {
    if (!sentence.isConnected) return;
    sentence.classList.add("goes");
    setTimeout(() => sentence.remove(), 160);
  }
}
