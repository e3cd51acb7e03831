// The terminal on the page: xterm.js, with the widths of the machine's model.

import { type ITerminalAddon, type IUnicodeVersionProvider, Terminal } from "@xterm/xterm";
import { WebLinksAddon } from "@xterm/addon-web-links";
import type { WebglAddon } from "@xterm/addon-webgl";
import { keepSpans } from "./rows.js";
import type { Room, Screen } from "./session.js";
import { theme } from "./theme.js";

/** Lines above the screen that the page keeps. */
const SCROLLBACK = 10_000;

/** The smallest font, in pixels: below it the screen scrolls instead. */
const SMALLEST = 8;

/** Room on all sides of the screen, in pixels, from which on a line shows where the session ends. */
const EDGE = 32;

/** The largest font, in pixels, that a small session gets in a large window. */
const LARGEST = 22;

/** The font in which the window's own size is told, in pixels. */
const USUAL = 14;

const FAMILY =
  'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", "Noto Sans Mono", monospace';

/** The most that a row is higher than its font. */
const AIRY = 1.2;

/** What the machine's painter writes, on two rows: modes, places, colours, text. And the blank screen again, with the cursor at its start. */
const SAMPLE = "\x1b[?25l\x1b[?7l\x1b[1;1H\x1b[0;1;32;48;2;16;18;22mfirst\x1b[0m and more\x1b[K\r\nsecond\x1b[K\x1b[?7h\x1b[2;3H\x1b[?25h";
const BLANK = "\x1b[0m\x1b[2;1H\x1b[2K\x1b[1;1H\x1b[2K";

/** Sizes of one cell, at the least height of rows, per pixel of the font's size. */
interface Cell {
  width: number;
  height: number;
}

/** The private parts of {@link Terminal} that the screen uses. */
interface Inner {
  _core?: {
    _writeBuffer?: { handleUserInput?(): void };
    optionsService?: { rawOptions?: { lineHeight: number } };
    _themeService?: { colors: { foreground: { rgba: number }; contrastCache: ContrastCache; halfContrastCache: ContrastCache } };
  };
}

/** The colours that were chosen for pairs of background and foreground; `null` for the foreground itself. */
interface ContrastCache {
  setColor(background: number, foreground: number, chosen: null): void;
}

/** The page around the screen, as the screen calls it. */
export interface Around {
  /** How many columns the machine's model gives a character. */
  width(code: number): 0 | 1 | 2;
  typed(data: string): void;
  typedBinary(data: string): void;
  /** A link was clicked. */
  link(url: string): void;
  /** The screen was painted for the first time, or anew. */
  changed(): void;
}

export class TerminalScreen implements Screen {
  readonly terminal: Terminal;
  readonly #frame: HTMLElement;
  readonly #around: Around;
  #cell: Cell = { width: 0.6, height: 1.2 };
  /** The sizes that the font was scaled for last, as text; `undefined` until the session's size is known. */
  #fitted: string | undefined;
  #webgl: WebglAddon | undefined;
  #hasSample = false;

  /** Opens a terminal in `frame`, the part of the window that it may fill. */
  constructor(frame: HTMLElement, around: Around, screenReader: boolean) {
    this.#frame = frame;
    this.#around = around;
    this.terminal = new Terminal({
      allowProposedApi: true,
      cols: 80,
      rows: 24,
      fontFamily: FAMILY,
      fontSize: USUAL,
      lineHeight: 1,
      scrollback: SCROLLBACK,
      theme: theme(),
      cursorBlink: false,
      minimumContrastRatio: 4.5,
      macOptionIsMeta: true,
      macOptionClickForcesSelection: true,
      rightClickSelectsWord: true,
      screenReaderMode: screenReader,
      linkHandler: { activate: (_event, url) => around.link(url), allowNonHttpProtocols: false },
    });
    this.terminal.loadAddon(new WebLinksAddon((_event, url) => around.link(url)));
    this.terminal.loadAddon(widths(around));
    this.terminal.onData((data) => around.typed(data));
    this.terminal.onBinary((data) => around.typedBinary(data));
    this.terminal.open(frame);
    this.#keepSpans();
    this.#leaveInverted();
    this.#typeAsIs();
    // The screen is fitted when the session's size is known.
    this.#measure();
  }

  resize(cols: number, rows: number): void {
    this.#blank();
    this.terminal.resize(cols, rows);
    this.#fitted ??= "";
    this.fit();
  }

  show(bytes: Uint8Array, shown: () => void): void {
    this.#blank();
    this.#write(bytes, () => {
      shown();
      this.#around.changed();
    });
  }

  /**
   * Fits the font for a session of usual size, and shows a few words while the terminal is not in sight: the browser compiles the functions
   * that fit, parse and paint when they are called first. A session of another size is fitted again. The words are gone when they have been
   * painted, or before anything else is shown.
   */
  rehearse(): void {
    this.#fitted ??= "";
    this.fit();
    // A screen reader would read them.
    if (this.#hasSample || this.terminal.options.screenReaderMode) return;
    this.#hasSample = true;
    this.#write(SAMPLE);
    requestAnimationFrame(() => requestAnimationFrame(() => this.#blank()));
  }

  /** The machine expects a blank terminal. */
  #blank(): void {
    if (this.#hasSample) this.#write(BLANK);
    this.#hasSample = false;
  }

  /** Scales the font so that the session's size fills the window; the screen scrolls where the font would be too small. */
  fit(): void {
    const { width, height } = this.#inner();
    const { cols, rows } = this.terminal;
    const wanted = `${width} ${height} ${cols} ${rows} ${this.#cell.width} ${this.#cell.height} ${devicePixelRatio}`;
    if (this.#fitted === undefined || wanted === this.#fitted) return;
    this.#fitted = wanted;
    const fits = Math.min(width / (cols * this.#cell.width), height / (rows * this.#cell.height), LARGEST);
    let size = Math.max(Math.floor(fits * 4) / 4, SMALLEST);
    // Cells are as large as whole device pixels allow, so a size may turn out a little too large.
    for (let tries = 0; tries < 12; tries += 1) {
      this.#setFont(size, height / (rows * this.#cell.height * size));
      if (size === SMALLEST || !this.#overflows(width, height)) break;
      const screen = this.#screenElement();
      const excess = Math.max(screen.offsetWidth / width, screen.offsetHeight / height);
      size = Math.max(Math.min(size - 0.25, Math.floor((size / excess) * 4) / 4), SMALLEST);
    }
    this.#frame.classList.toggle("scrolls", this.#overflows(width, height));
    const screen = this.#screenElement();
    const isFree = width - screen.offsetWidth > EDGE && height - screen.offsetHeight > EDGE;
    this.#frame.classList.toggle("floats", isFree);
  }

  /** The size of a session that the window has room for, in a usual font. */
  room(): Room {
    const { width, height } = this.#inner();
    const within = (value: number, most: number): number => Math.min(Math.max(Math.floor(value), 2), most);
    return { cols: within(width / (this.#cell.width * USUAL), 500), rows: within(height / (this.#cell.height * AIRY * USUAL), 200) };
  }

  setTheme(): void {
    this.terminal.options.theme = theme();
    this.#leaveInverted();
  }

  setScreenReader(on: boolean): void {
    this.terminal.options.screenReaderMode = on;
  }

  /** Paints by WebGL where a graphics card does it: in software it is slower than the page's own elements. */
  async accelerate(): Promise<void> {
    if (this.#webgl || !hasGraphicsCard()) return;
    try {
      const { WebglAddon } = await import("./webgl.js");
      if (this.#webgl) return;
      const webgl = new WebglAddon();
      webgl.onContextLoss(() => {
        webgl.dispose();
        this.#webgl = undefined;
        this.#keepSpans();
      });
      this.terminal.loadAddon(webgl);
      this.#webgl = webgl;
      this.#measure();
      this.fit();
    } catch {
      // The page's own elements go on.
    }
  }

  /** Brings the cursor into sight where the screen is larger than the window. */
  followCursor(): void {
    const frame = this.#frame;
    if (!frame.classList.contains("scrolls")) return;
    const size = this.terminal.options.fontSize ?? USUAL;
    const line = this.terminal.options.lineHeight ?? 1;
    const [width, height] = [this.#cell.width * size, this.#cell.height * size * line];
    const { cursorX, cursorY } = this.terminal.buffer.active;
    const place = (at: number, cell: number, seen: number, room: number): number => {
      if (at < seen) return Math.max(at - 2 * cell, 0);
      return at + cell > seen + room ? at + 3 * cell - room : seen;
    };
    frame.scrollLeft = place(cursorX * width, width, frame.scrollLeft, frame.clientWidth);
    frame.scrollTop = place(cursorY * height, height, frame.scrollTop, frame.clientHeight);
  }

  /** All text of the screen and of what scrolled out of it. */
  text(): string {
    const buffer = this.terminal.buffer.active;
    let text = "";
    for (let row = 0; row < buffer.length; row += 1) {
      const line = buffer.getLine(row);
      if (!line) continue;
      if (row > 0 && !line.isWrapped) text += "\n";
      text += line.translateToString(!buffer.getLine(row + 1)?.isWrapped);
    }
    return text.trimEnd();
  }

  /** As after a key: parsed at once if nothing waits, and not by a timer. The machine sends no more until what it sent is shown. */
  #write(data: string | Uint8Array, parsed?: () => void): void {
    (this.terminal as unknown as Inner)._core?._writeBuffer?.handleUserInput?.();
    this.terminal.write(data, parsed);
  }

  /**
   * Rows get a little air where there is room for it. At each option that is set, xterm.js makes its style sheet of 800 rules anew, and
   * measures: of two options, only the last one is set in the open.
   */
  #setFont(size: number, room: number): void {
    const options = this.terminal.options;
    const line = Math.min(Math.max(Math.floor(room * 20) / 20, 1), AIRY);
    const raw = (this.terminal as unknown as Inner)._core?.optionsService?.rawOptions;
    if (options.fontSize !== size && raw) raw.lineHeight = line;
    else if (options.lineHeight !== line) options.lineHeight = line;
    if (options.fontSize !== size) options.fontSize = size;
  }

  #inner(): { width: number; height: number } {
    const style = getComputedStyle(this.#frame);
    const pixels = (value: string): number => Number.parseFloat(value) || 0;
    return {
      width: this.#frame.clientWidth - pixels(style.paddingLeft) - pixels(style.paddingRight),
      height: this.#frame.clientHeight - pixels(style.paddingTop) - pixels(style.paddingBottom),
    };
  }

  #overflows(width: number, height: number): boolean {
    const screen = this.#screenElement();
    return screen.offsetWidth > width || screen.offsetHeight > height;
  }

  #measure(): void {
    const screen = this.#screenElement();
    const size = this.terminal.options.fontSize ?? USUAL;
    if (screen.offsetWidth > 0) {
      this.#cell = {
        width: screen.offsetWidth / this.terminal.cols / size,
        height: screen.offsetHeight / this.terminal.rows / size / (this.terminal.options.lineHeight ?? 1),
      };
    }
  }

  #screenElement(): HTMLElement {
    return this.#frame.querySelector<HTMLElement>(".xterm-screen") ?? this.#frame;
  }

  #keepSpans(): void {
    const rows = this.#frame.querySelector(".xterm-rows");
    if (rows) keepSpans(rows);
  }

  /**
   * xterm.js takes the contrast of inverted text in the usual colours for that of the foreground with itself, and makes the text grey.
   * Nothing of this pair of colours is to be adjusted.
   */
  #leaveInverted(): void {
    const colors = (this.terminal as unknown as Inner)._core?._themeService?.colors;
    if (!colors) return;
    for (const cache of [colors.contrastCache, colors.halfContrastCache]) {
      cache.setColor(colors.foreground.rgba, colors.foreground.rgba, null);
    }
  }

  /** A keyboard on glass neither corrects nor completes what is typed. */
  #typeAsIs(): void {
    const area = this.terminal.textarea;
    if (!area) return;
    for (const [name, value] of Object.entries({
      autocapitalize: "none",
      autocomplete: "off",
      autocorrect: "off",
      spellcheck: "false",
      enterkeyhint: "enter",
      "data-gramm": "false",
      "data-1p-ignore": "true",
      "data-lpignore": "true",
    })) {
      area.setAttribute(name, value);
    }
  }
}

function hasGraphicsCard(): boolean {
  const probe = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!probe) return false;
  const about = probe.getExtension("WEBGL_debug_renderer_info");
  const renderer: unknown = probe.getParameter(about ? about.UNMASKED_RENDERER_WEBGL : probe.RENDERER);
  probe.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|software|basic render/i.test(String(renderer));
}

/** Joins a character to the one before it: bit 0 of a character's properties. The width stands above. */
const JOINS = 1;

function widths(model: Pick<Around, "width">): ITerminalAddon {
  return {
    activate(terminal: Terminal): void {
      const known = new Map<number, 0 | 1 | 2>();
      const wcwidth = (code: number): 0 | 1 | 2 => {
        if (code >= 0x20 && code < 0x7f) return 1;
        let width = known.get(code);
        if (width === undefined) known.set(code, (width = model.width(code)));
        return width;
      };
      const provider: IUnicodeVersionProvider = {
        version: "beach",
        wcwidth,
        charProperties(code: number, preceding: number): number {
          const width = wcwidth(code);
          const before = (preceding >> 1) & 3;
          return width > 0 || before === 0 ? width << 1 : (before << 1) | JOINS;
        },
      };
      terminal.unicode.register(provider);
      terminal.unicode.activeVersion = "beach";
    },
    dispose(): void {},
  };
}
