// The page: what the machine tells, on the parts of the page; what the person does, to the machine.

import { name } from "./agent.js";
import type { Machine } from "./machine.js";
import type { News, Stage } from "./news.js";
import { isOn, keep } from "./preference.js";
import type { TerminalScreen } from "./screen.js";
import { type Room, Session } from "./session.js";
import { onTheme } from "./theme.js";
import { Bar, type Entry } from "./ui/bar.js";
import { Card } from "./ui/card.js";
import { h, prose } from "./ui/dom.js";
import { wheelByTouch } from "./ui/drag.js";
import { Banner, Sentences } from "./ui/notices.js";
import { copy, openSheet } from "./ui/sheet.js";
import { Tab } from "./ui/tab.js";
import { TouchBar } from "./ui/touch.js";

type ScreenModule = typeof import("./screen.js");

/** A window whose size still changes is measured once, this long after the last change, in milliseconds. */
const SETTLED_AFTER_MS = 100;

/** Output that is painted within this time after a key, in milliseconds, may be the key's echo. */
const ECHO_WITHIN_MS = 2000;

/** The one preference that a person must not set each time anew. */
const SCREEN_READER = "beach.screen-reader";

/** Longest part of somebody's text that is shown in a question, in characters. */
const MOST_DETAIL = 200;

const coarse = matchMedia("(pointer: coarse)");

export class Page {
  readonly #assets: URL;
  readonly #machine: Promise<Machine>;
  readonly #screenModule: Promise<ScreenModule>;
  readonly #session: Session;
  readonly #frame = h("div.frame", {});
  readonly #card = new Card();
  readonly #banner = new Banner();
  readonly #sentences = new Sentences();
  readonly #touch = new TouchBar();
  readonly #tab = new Tab(() => this.#session.leave());
  readonly #bar: Bar;
  #screen: TerminalScreen | undefined;
  #loaded: Machine | undefined;
  #isLive = false;
  #hasScreen = false;
  #typedAt = Number.NEGATIVE_INFINITY;
  /** The size that the machine was told last. */
  #told: Room = { cols: 0, rows: 0 };

  constructor(assets: URL, machine: Promise<Machine>, screen: Promise<ScreenModule>, socket: WebSocket | undefined) {
    this.#assets = assets;
    this.#machine = machine;
    this.#screenModule = screen;
    this.#session = new Session(
      socket,
      (news) => this.#on(news),
      (error) => this.#broken(error),
    );
    this.#bar = new Bar(this.#entries(), () => this.#session.askStatus(), () => this.#focus());
    const stage = h("main.stage", {}, this.#frame, this.#banner.element, this.#sentences.element, this.#card.element);
    document.body.append(this.#bar.element, stage, this.#touch.element);
    this.#frame.addEventListener("click", () => this.#focus());
    wheelByTouch(this.#frame);
    onTheme(() => this.#screen?.setTheme());
  }

  /** Joins by the link, or asks for it. */
  async open(link: string | undefined): Promise<void> {
    if (link === undefined) {
      this.#card.ask(undefined, (pasted) => this.#use(pasted));
      return;
    }
    this.#session.early();
    // Whichever comes first: the terminal takes the main thread longest, and the machine is fetched and compiled beside it.
    const started = this.#machine.then((machine) => {
      performance.mark("beach:machine");
      this.#start(machine, link);
    });
    const attached = this.#screenModule.then(({ TerminalScreen }) => {
      performance.mark("beach:screen-module");
      this.#attach(TerminalScreen);
      performance.mark("beach:terminal");
    });
    await Promise.all([started, attached]).catch((error: unknown) => this.#broken(error));
  }

  /** A link that was pasted into the page; one of another server is opened there. */
  #use(pasted: string): void {
    const found = URL.parse(pasted.replaceAll("%23", "#"));
    if (found && found.origin !== location.origin && /^https?:$/.test(found.protocol)) {
      location.assign(found);
      return;
    }
    if (found) history.replaceState(null, "", found.pathname);
    void this.open(pasted);
  }

  /** Without a link, joins again by the one that the machine has. */
  #start(machine: Machine, link: string | null): void {
    document.body.classList.remove("is-over");
    // The machine expects a blank terminal.
    if (this.#hasScreen) this.#screen?.terminal.reset();
    this.#hasScreen = false;
    this.#loaded = machine;
    this.#card.begin();
    this.#told = this.#screen?.room() ?? roughRoom();
    this.#session.start(machine, link, name(), this.#told);
  }

  #attach(Screen: ScreenModule["TerminalScreen"]): void {
    if (this.#screen) return;
    const around = {
      // All that the terminal shows comes from the machine, so the machine is there by then.
      width: (code: number): 0 | 1 | 2 => this.#loaded?.width(code) ?? 1,
      typed: (data: string) => this.#typed(data),
      typedBinary: (data: string) => this.#session.typedBinary(data),
      link: (url: string) => this.#askLink(url),
      changed: () => this.#onScreen(),
    };
    const screen = new Screen(this.#frame, around, isOn(SCREEN_READER));
    this.#screen = screen;
    // For tests, and for people's own scripts.
    Object.assign(this.#frame, { terminal: screen.terminal });
    this.#touch.attach(screen.terminal);
    this.#touch.element.hidden = !coarse.matches;
    screen.terminal.attachCustomKeyEventHandler((event) => this.#isForTerminal(event));
    if (this.#isLive) this.#reveal();
    this.#session.attach(screen);
    this.#watchSize(screen);
    this.#focus();
  }

  #watchSize(screen: TerminalScreen): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const settled = (): void => {
      screen.fit();
      screen.followCursor();
      const room = screen.room();
      if (room.cols === this.#told.cols && room.rows === this.#told.rows) return;
      this.#told = room;
      this.#session.hasRoom(room);
    };
    const observer = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(settled, SETTLED_AFTER_MS);
    });
    observer.observe(this.#frame);
    // A keyboard on glass covers the page where it does not make it smaller.
    const viewport = window.visualViewport;
    const cover = (): void => {
      if (!viewport) return;
      const style = document.documentElement.style;
      style.setProperty("--height", `${viewport.height}px`);
      style.setProperty("--top", `${viewport.offsetTop}px`);
    };
    if (viewport && coarse.matches) {
      viewport.addEventListener("resize", cover);
      viewport.addEventListener("scroll", cover);
      cover();
    }
  }

  #typed(data: string): void {
    this.#session.typed(this.#touch.modified(data));
    this.#typedAt = performance.now();
  }

  /** Keys that the page takes for itself: copying, as terminals on Linux and Windows have it. */
  #isForTerminal(event: KeyboardEvent): boolean {
    const copies = event.ctrlKey && event.shiftKey && event.code === "KeyC";
    if (!copies || event.type !== "keydown") return !copies;
    event.preventDefault();
    const selected = this.#screen?.terminal.getSelection();
    if (selected) void copy(selected).then(() => this.#focus());
    return false;
  }

  #on(news: News): void {
    switch (news.kind) {
      case "stage":
        this.#onStage(news.stage, news.words);
        break;
      case "unreachable":
        if (!this.#isLive) this.#card.unreachable(news.text);
        break;
      case "check":
        this.#card.check(news.words);
        break;
      case "live":
        this.#onLive();
        this.#bar.role(news.role);
        break;
      case "path":
        this.#bar.path(news.way, news.text, true);
        if (news.again) this.#sentences.say(news.text);
        break;
      case "title":
        this.#bar.title(news.title);
        this.#tab.title(news.title);
        break;
      case "bell":
        this.#bell();
        break;
      case "clipboard":
        this.#askClipboard(news.text);
        break;
      case "away":
        this.#banner.away();
        this.#bar.path("reconnecting", news.text, false);
        break;
      case "back":
        this.#banner.back();
        break;
      case "said":
        this.#sentences.say(news.text, news.who === "host" ? "the host says" : undefined);
        this.#tab.happened();
        break;
      case "role":
        this.#bar.role(news.role);
        this.#sentences.say(news.text);
        break;
      case "paused":
        this.#banner.paused(news.text);
        this.#frame.classList.toggle("is-paused", news.text !== null);
        break;
      case "lost":
        this.#banner.lost(news.text);
        this.#sentences.say(news.text);
        break;
      case "readonly":
        this.#sentences.say(news.text);
        break;
      case "members":
        this.#bar.members(news.members, news.more, news.host_types);
        break;
      case "status":
        this.#bar.status([news.path, news.round_trip].filter((part) => part !== null).join(", "));
        break;
      case "exit":
        this.#onExit(news);
        break;
    }
  }

  #onStage(stage: Stage, words: string): void {
    this.#banner.stage(words);
    if (this.#isLive) return;
    performance.mark(`beach:${stage}`);
    if (stage !== "live") this.#card.stage(stage, words);
    // The browser has found a path and shakes hands on it, and the page has nothing to do.
    if (stage === "securing") setTimeout(() => this.#rehearse());
  }

  #rehearse(): void {
    if (this.#isLive) return;
    this.#loaded?.rehearse();
    if (!this.#hasScreen) this.#screen?.rehearse();
    performance.mark("beach:rehearsed");
  }

  #onLive(): void {
    this.#isLive = true;
    this.#tab.live(true);
    if (this.#screen) this.#reveal();
  }

  /** The terminal in place of the card. */
  #reveal(): void {
    this.#card.hide();
    document.body.classList.add("is-live");
    // The first screen is there without it.
    requestAnimationFrame(() => requestAnimationFrame(() => void this.#screen?.accelerate()));
  }

  #onScreen(): void {
    if (!this.#hasScreen) {
      performance.mark("beach:first-screen");
      this.#hasScreen = true;
      this.#focus();
    }
    this.#tab.happened();
    // After the echo, not after the key: browsers bring the field that has the focus into sight at a key.
    if (performance.now() - this.#typedAt < ECHO_WITHIN_MS) this.#screen?.followCursor();
  }

  #onExit(exit: Extract<News, { kind: "exit" }>): void {
    this.#isLive = false;
    this.#tab.live(false);
    this.#tab.happened();
    this.#banner.clear();
    this.#bar.path("not connected", exit.what, false);
    this.#bar.nobody();
    document.body.classList.remove("is-live");
    if (exit.end === "link") {
      this.#card.ask(exit.why, (pasted) => this.#use(pasted));
      return;
    }
    const look = (): void => {
      this.#card.hide();
      document.body.classList.add("is-over");
    };
    this.#card.end(exit, () => void this.#machine.then((machine) => this.#start(machine, null)), this.#hasScreen ? look : undefined);
  }

  #broken(error: unknown): void {
    this.#isLive = false;
    this.#tab.live(false);
    this.#banner.clear();
    document.body.classList.remove("is-live");
    const isOld = error instanceof TypeError && /fetch|import|module|MIME/i.test(error.message);
    this.#card.broken(isOld ? "a part of the page could not be loaded" : "the program in it ended unexpectedly");
    console.error("beach: the page has stopped working");
  }

  #bell(): void {
    this.#tab.happened();
    this.#frame.classList.remove("rings");
    // Restarts the animation.
    void this.#frame.offsetWidth;
    this.#frame.classList.add("rings");
    setTimeout(() => this.#frame.classList.remove("rings"), 300);
  }

  #askLink(url: string): void {
    if (!/^https?:\/\//i.test(url)) return;
    const open = (): void => {
      window.open(url, "_blank", "noopener,noreferrer");
    };
    this.#sentences.ask("Open this link?", cut(url), [
      { words: "Open", act: open },
      { words: "Copy", act: () => void copy(url).then(() => this.#focus()) },
      { words: "Cancel", act: () => this.#focus() },
    ]);
  }

  #askClipboard(text: string): void {
    const put = (): void => {
      void copy(text).then((done) => {
        if (!done) this.#sentences.say("The browser did not let the text into the clipboard.");
        this.#focus();
      });
    };
    const count = [...text].length;
    const what = count === 1 ? "1 character" : `${count} characters`;
    this.#sentences.ask(`The program wants to put ${what} into your clipboard.`, cut(text), [
      { words: "Copy", act: put },
      { words: "No", act: () => this.#focus() },
    ]);
  }

  #entries(): Entry[] {
    const isLive = (): boolean => this.#isLive;
    const hasKeyboardLock = (): boolean => "keyboard" in navigator;
    return [
      { words: "Who is here", isShown: isLive, act: () => this.#bar.openPeople() },
      { words: "Copy text", isShown: () => this.#screen !== undefined, act: () => this.#copyText() },
      {
        words: () => (hasKeyboardLock() ? "Full screen, with all keys" : "Full screen"),
        isOn: () => document.fullscreenElement !== null,
        isShown: () => document.fullscreenEnabled,
        act: () => void this.#fullScreen(),
      },
      {
        words: "Keys for touch",
        isOn: () => !this.#touch.element.hidden,
        act: () => {
          this.#touch.element.hidden = !this.#touch.element.hidden;
        },
      },
      { words: "Screen reader", isOn: () => isOn(SCREEN_READER), act: () => this.#screenReader() },
      { words: "About and help", act: () => this.#about() },
      { words: "Leave", isShown: isLive, act: () => this.#session.leave() },
    ];
  }

  #copyText(): void {
    const text = this.#screen?.text() ?? "";
    openSheet("Text of the session", () => this.#focus(), h("pre", { tabindex: "0" }, text));
  }

  async #fullScreen(): Promise<void> {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
      return;
    }
    await document.documentElement.requestFullscreen({ navigationUI: "hide" });
    const keyboard = (navigator as Navigator & { keyboard?: { lock?: () => Promise<void> } }).keyboard;
    // Without it, Ctrl-W, Ctrl-T and Ctrl-N stay the browser's.
    await keyboard?.lock?.().catch(() => {});
    this.#focus();
  }

  #screenReader(): void {
    const on = !isOn(SCREEN_READER);
    this.#screen?.setScreenReader(on);
    keep(SCREEN_READER, on);
  }

  #about(): void {
    const hash = this.#assets.pathname.split("/").at(-2) ?? "";
    const row = (keys: string, words: string): HTMLElement => h("tr", {}, h("th", {}, h("kbd", {}, keys)), h("td", {}, words));
    openSheet(
      "About and help",
      () => this.#focus(),
      h("p", {}, "This terminal is shared by somebody with beach. What it shows and what you type travel between this page and their computer alone, end-to-end encrypted."),
      h("p", {}, ...prose("You trust the server that this page came from: it could have sent another page. `beach join` does not need that trust, and `beach web` shows the page without it.")),
      h(
        "table",
        {},
        row("Ctrl Shift C", "copy what is selected; Ctrl C is for the program"),
        row("Ctrl Shift V", "paste, as one paste"),
        row("Shift", "held: select although the program takes the mouse (Option on a Mac)"),
        row("Ctrl W T N", "the browser's own, but in full screen"),
      ),
      h("p.quiet", {}, "page ", h("code.hash", {}, hash), ": the same as ", h("code", {}, "beach version"), " says where it comes from. ", h("a", { href: new URL("LICENSES.txt", this.#assets).href, target: "_blank", rel: "noopener noreferrer" }, "Licences")),
    );
  }

  #focus(): void {
    if (document.querySelector("dialog[open], .card.is-shown, .sentence.is-question:not(.goes), :popover-open")) return;
    this.#screen?.terminal.focus();
  }
}

/** The size for which the window has room, before there is a terminal to measure. */
function roughRoom(): Room {
  return {
    cols: Math.max(Math.floor(innerWidth / 8.4), 2),
    rows: Math.max(Math.floor((innerHeight - 60) / 17), 2),
  };
}

function cut(text: string): string {
  return text.length > MOST_DETAIL ? `${text.slice(0, MOST_DETAIL)}…` : text;
}
