// The loop around the machine: outputs to browser and screen, events back, one timer for the machine's deadline.

import { Clock } from "./clock.js";
import { Happened, Perform } from "./codes.js";
import type { Machine, Wish } from "./machine.js";
import type { News } from "./news.js";
import { Peers } from "./peer.js";
import { Signal } from "./signal.js";

/** A terminal that shows what the machine paints. */
export interface Screen {
  /** The session has this size from now on. */
  resize(cols: number, rows: number): void;
  /** Shows bytes; `shown` when they are parsed. */
  show(bytes: Uint8Array, shown: () => void): void;
}

/** The size of a session for which the window has room. */
export interface Room {
  cols: number;
  rows: number;
}

/** The longest wait of one timer: browsers keep it in 31 bits. */
const MOST_MS = 2 ** 31 - 1;

/** A call of the machine. */
type Call = () => [Wish[], number];

const text = new TextEncoder();
const nothing = new Uint8Array();

export class Session {
  readonly #clock = new Clock();
  readonly #signal: Signal;
  readonly #peers = new Peers((what, peer, bytes) => this.#happened(what, peer, bytes));
  readonly #news: (news: News) => void;
  readonly #broken: (error: unknown) => void;
  #machine: Machine | undefined;
  #screen: Screen | undefined;
  /** Wishes for a screen that is still being loaded. */
  #unshown: Wish[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, and when the machine wants its next tick; never earlier than the timer. Infinity for never. */
  #firesAt = Infinity;
  #dueAt = Infinity;
  /** Calls of the machine that wait until the wishes of the one before are performed. */
  readonly #calls: Call[] = [];
  #isPerforming = false;

  /**
   * `early` is a connection to the rendezvous that was begun before the machine was there, `news` gets what the machine tells, `broken` the
   * error that ended the machine itself.
   */
  constructor(early: WebSocket | undefined, news: (news: News) => void, broken: (error: unknown) => void) {
    this.#signal = new Signal(early, (what, bytes) => this.#happened(what, 0, bytes));
    this.#news = news;
    this.#broken = broken;
  }

  /** Begins what takes time before the machine is there. */
  early(): void {
    this.#peers.early();
  }

  /** Joins by the link; without one, by the link of the last start. */
  start(machine: Machine, link: string | null, name: string, room: Room): void {
    this.#machine = machine;
    const seed = Array.from(crypto.getRandomValues(new Uint8Array(64)));
    this.#run(() => machine.start(this.#clock.now(), JSON.stringify({ link, name, room: [room.cols, room.rows], seed })));
  }

  attach(screen: Screen): void {
    this.#screen = screen;
    this.#performAll(this.#unshown.splice(0));
    this.#goOn();
  }

  typed(data: string): void {
    this.#happened(Happened.Typed, 0, text.encode(data));
  }

  /** Reports of the mouse in its oldest encoding are no text. */
  typedBinary(data: string): void {
    this.#happened(Happened.Typed, 0, Uint8Array.from(data, (character) => character.charCodeAt(0) & 0xff));
  }

  hasRoom(room: Room): void {
    this.#happened(Happened.Room, 0, new Uint8Array(Uint16Array.of(room.cols, room.rows).buffer));
  }

  askStatus(): void {
    this.#happened(Happened.Status);
  }

  leave(): void {
    this.#happened(Happened.Leave);
  }

  #happened(what: number, peer = 0, bytes: Uint8Array = nothing): void {
    const machine = this.#machine;
    if (machine) this.#run(() => machine.happened(this.#clock.now(), what, peer, bytes));
  }

  #run(call: Call): void {
    this.#calls.push(call);
    this.#goOn();
  }

  /** Makes the calls that wait, one after the other; calls that come while wishes are performed wait for their end. */
  #goOn(): void {
    while (!this.#isPerforming) {
      const call = this.#calls.shift();
      if (!call) return;
      this.#call(call);
    }
  }

  #call(call: Call): void {
    let wishes: Wish[];
    let next: number;
    try {
      [wishes, next] = call();
    } catch (error) {
      this.#machine = undefined;
      this.#expect(Infinity);
      this.#signal.hangUp();
      this.#broken(error);
      return;
    }
    this.#expect(next);
    this.#performAll(wishes);
  }

  /** The machine wants a tick at `due`. A timer that fires before stays: while much happens the time changes with each call. */
  #expect(due: number): void {
    this.#dueAt = due;
    if (due >= this.#firesAt) return;
    clearTimeout(this.#timer);
    this.#firesAt = due;
    this.#timer = setTimeout(() => this.#onTimer(), Math.min(Math.max(Math.ceil(due - this.#clock.now()), 0), MOST_MS));
  }

  #onTimer(): void {
    this.#firesAt = Infinity;
    if (this.#dueAt > this.#clock.now()) this.#expect(this.#dueAt);
    else this.#happened(Happened.Tick);
  }

  #performAll(wishes: Wish[]): void {
    this.#isPerforming = true;
    try {
      for (const wish of wishes) this.#perform(wish);
    } finally {
      this.#isPerforming = false;
    }
  }

  #perform(wish: Wish): void {
    const { what, peer, bytes } = wish;
    switch (what) {
      case Perform.Dial:
        this.#signal.dial();
        break;
      case Perform.HangUp:
        this.#signal.hangUp();
        break;
      case Perform.Signal:
        this.#signal.send(bytes);
        break;
      case Perform.Size:
      case Perform.Show:
        this.#paint(wish);
        break;
      case Perform.News:
        this.#news(JSON.parse(new TextDecoder().decode(bytes)) as News);
        break;
      default:
        this.#peers.perform(what, peer, bytes);
    }
  }

  #paint(wish: Wish): void {
    const screen = this.#screen;
    if (!screen) {
      this.#unshown.push(wish);
    } else if (wish.what === Perform.Size) {
      const [cols = 80, rows = 24] = new Uint16Array(wish.bytes.buffer);
      screen.resize(cols, rows);
    } else {
      screen.show(wish.bytes, () => this.#happened(Happened.Shown));
    }
  }
}
