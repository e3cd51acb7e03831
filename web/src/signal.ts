// The WebSocket to the rendezvous: the page's own origin, whoever that is.

import { Happened } from "./codes.js";

const text = new TextEncoder();

/** Bytes of a message that waits to be sent while the connection is not open yet: one hello and its candidates. */
const MOST_WAITING = 64 * 1024;

/** Characters of a session's id that the address of the WebSocket has, for load balancers that choose a server by it. */
const SHORT_ID = 14;

/** Begins a connection to the rendezvous. */
export function connect(): WebSocket {
  const url = new URL("/ws", location.origin);
  const session = location.pathname.split("/").at(-1) ?? "";
  if (session.length >= SHORT_ID) url.searchParams.set("s", session.slice(0, SHORT_ID));
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  return socket;
}

/** The connection to the rendezvous. The machine dials and hangs up. */
export class Signal {
  readonly #tell: (what: number, bytes?: Uint8Array) => void;
  #socket: WebSocket | undefined;
  /** A connection that was begun before the machine was there to ask for it. The first dial takes it. */
  #early: WebSocket | undefined;

  constructor(early: WebSocket | undefined, tell: (what: number, bytes?: Uint8Array) => void) {
    this.#early = early;
    this.#tell = tell;
  }

  dial(): void {
    this.hangUp();
    const early = this.#early;
    this.#early = undefined;
    const socket = early && early.readyState <= WebSocket.OPEN ? early : connect();
    this.#socket = socket;
    const up = (): void => {
      if (socket === this.#socket) this.#tell(Happened.SignalUp);
    };
    const down = (event: CloseEvent): void => {
      if (socket !== this.#socket) return;
      this.#socket = undefined;
      this.#tell(Happened.SignalDown, text.encode(why(event)));
    };
    if (socket.readyState === WebSocket.OPEN) queueMicrotask(up);
    else socket.addEventListener("open", up);
    socket.addEventListener("close", down);
    socket.addEventListener("message", (event: MessageEvent<unknown>) => {
      // Binary messages are relayed datagrams, and the browser's connections have their own ways.
      if (socket === this.#socket && typeof event.data === "string") {
        this.#tell(Happened.Signal, text.encode(event.data));
      }
    });
  }

  send(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN && socket.bufferedAmount <= MOST_WAITING) {
      socket.send(new TextDecoder().decode(bytes));
    }
  }

  hangUp(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}

function why(event: CloseEvent): string {
  if (event.reason) return event.reason;
  // Browsers do not tell why a connection never opened.
  return event.code === 1006 ? "no connection" : `the connection closed (${event.code})`;
}
