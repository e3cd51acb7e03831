// The card in the middle of the page: the way in, a question of the host, an end.

import type { News, Stage } from "../news.js";
import { h, mark, prose } from "./dom.js";

/** The steps of a join that people see, with the stages of each. */
const STEPS: [string, Stage[]][] = [
  ["reaching rendezvous", ["reaching_rendezvous", "waiting_for_host"]],
  ["authenticating", ["authenticating", "waiting_for_approval", "offer", "answer"]],
  ["checking paths", ["checking_paths"]],
  ["securing", ["securing", "confirming", "opening_control"]],
  ["waiting for the first screen", ["first_screen"]],
];

/** A join takes less than half a second: only one that takes longer is told. Until then the card is empty, and not there for the browser. */
const TOLD_AFTER_MS = 350;

export class Card {
  readonly element = h("section.card", { role: "status", "aria-live": "polite" });
  #stage: Stage = "reaching_rendezvous";
  #words = "reaching rendezvous";
  #note: string | undefined;
  #check: string[] = [];
  #isTold = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.begin();
  }

  /** A join begins, or begins again; one that has begun goes on. */
  begin(): void {
    if (this.element.classList.contains("is-joining")) return;
    [this.#isTold, this.#note, this.#check] = [false, undefined, []];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isTold = true;
      if (this.element.classList.contains("is-joining")) this.#joining();
    }, TOLD_AFTER_MS);
    this.stage("reaching_rendezvous", "reaching rendezvous");
  }

  stage(stage: Stage, words: string): void {
    if (stage !== this.#stage) this.#note = undefined;
    [this.#stage, this.#words] = [stage, words];
    if (stage === "live") this.hide();
    else if (stage === "waiting_for_approval") this.#approval();
    else this.#joining();
  }

  unreachable(text: string): void {
    this.#note = text;
    this.#joining();
  }

  check(words: string[]): void {
    this.#check = words;
    if (this.#stage === "waiting_for_approval") this.#approval();
  }

  hide(): void {
    this.element.className = "card";
    this.element.replaceChildren();
  }

  /** Three lines about an end, and what can be done. */
  end(exit: Extract<News, { kind: "exit" }>, again: () => void, look: (() => void) | undefined): void {
    const calm = exit.end !== "failed";
    const join = exit.end === "ended" ? null : h("button.primary", { type: "button", click: again }, calm ? "Join again" : "Try again");
    this.#show(
      calm ? "is-end" : "is-failure",
      h("h1", {}, exit.what),
      exit.why ? h("p.why", {}, ...prose(exit.why)) : null,
      exit.advice ? h("p.advice", {}, ...prose(exit.advice)) : null,
      h("div.actions", {}, join, look ? h("button", { type: "button", click: look }, "Look at the last screen") : null),
    );
    // Enter tries again, where there is a keyboard.
    if (matchMedia("(pointer: fine)").matches) this.element.querySelector("button")?.focus({ preventScroll: true });
  }

  /** The machine itself failed. */
  broken(text: string): void {
    this.#show(
      "is-failure",
      h("h1", {}, "the page has stopped working"),
      h("p.why", {}, text),
      h("p.advice", {}, "load the page again, with the whole link; the session goes on without you"),
      h("div.actions", {}, h("button.primary", { type: "button", click: () => location.reload() }, "Load again")),
    );
  }

  /** The link is not there any more, or never was whole. */
  ask(cause: string | undefined, use: (link: string) => void): void {
    const field = h("input", {
      type: "text",
      name: "link",
      placeholder: "http://…#…",
      "aria-label": "The whole link",
      autocomplete: "off",
      autocapitalize: "none",
      spellcheck: "false",
    });
    const submit = (event: Event): void => {
      event.preventDefault();
      const link = field.value.trim();
      field.value = "";
      if (link) use(link);
    };
    this.#show(
      "is-ask",
      h("h1", {}, cause ? "this link does not work" : "paste the link again"),
      h("p.why", {}, cause ?? "The key behind # is kept nowhere, so a page that is loaded again does not have it."),
      h("form", { submit }, field, h("button.primary", { type: "submit" }, "Join")),
    );
    field.focus();
  }

  #joining(): void {
    if (!this.#isTold) {
      this.element.className = "card is-shown is-joining";
      this.element.replaceChildren();
      return;
    }
    const current = STEPS.findIndex(([, stages]) => stages.includes(this.#stage));
    const steps = STEPS.map(([words], at) => {
      const state = at < current ? "done" : at === current ? "now" : "later";
      const attributes = at === current ? { "data-state": state, "aria-current": "step" } : { "data-state": state };
      return h("li", attributes, at === current ? this.#words : words);
    });
    const note = this.#note ? h("p.why", {}, this.#note) : null;
    this.#show("is-joining", h("ol.steps", {}, ...steps), note);
  }

  #approval(): void {
    const words = this.#check.map((word) => h("li", {}, word));
    this.#show(
      "is-approval",
      h("h1", {}, this.#words),
      words.length > 0 ? h("ol.words", { "aria-label": "Four words" }, ...words) : null,
      h("p.why", {}, "The host decides, and sees the same four words."),
      h("p.advice", {}, "Compare them, by voice for example: equal words prove that nobody sits in between."),
    );
  }

  #show(kind: string, ...children: (Node | null)[]): void {
    this.element.className = `card is-shown ${kind}`;
    this.element.replaceChildren(h("p.mark", {}, mark(), "beach"), ...children.filter((child) => child !== null));
  }
}
