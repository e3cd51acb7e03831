// One peer connection of the browser: its two lanes are data channels. The machine decides everything.

import { Happened, Perform } from "./codes.js";

/** Tells the machine what happened to the peer connection with a number. */
export type Tell = (what: number, peer: number, bytes?: Uint8Array) => void;

/** Bytes that may wait in the browser for the terminal lane: what is dropped is sent again, newer. */
const MOST_BUFFERED = 65536;

/**
 * For how long the browser keeps a message of the terminal lane, in milliseconds. With a limit of repetitions in its place, lost messages
 * would make SCTP's window small for seconds, and the newest key would wait behind the older ones.
 */
const LIFETIME_MS = 50;

/** The last messages, such as a goodbye, get this long to leave, in milliseconds. */
const CLOSE_AFTER_MS = 250;

/** A connection that was made before it was asked for is used within this time, in milliseconds: later, its addresses may be old. */
const FRESH_MS = 10_000;

const text = new TextEncoder();

/** All peer connections, by the machine's numbers. */
export class Peers {
  readonly #peers = new Map<number, Peer>();
  readonly #tell: Tell;
  #spare: Peer | undefined;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  /**
   * Makes a connection for the first wish, and has it describe itself: the first one of a page takes the browser several milliseconds, and
   * when the wish comes, the host waits for the description.
   */
  early(): void {
    try {
      this.#spare = new Peer([]);
      void this.#spare.describe();
    } catch {
      // The wish for one fails too, and says why.
    }
  }

  perform(what: number, number: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (what === Perform.PeerOpen) {
      this.#open(number, bytes);
      return;
    }
    const peer = this.#peers.get(number);
    if (!peer) return;
    if (what === Perform.PeerClose) this.#peers.delete(number);
    peer.perform(what, bytes);
  }

  #open(number: number, bytes: Uint8Array): void {
    const tell = (what: number, bytes?: Uint8Array): void => {
      if (this.#peers.has(number)) this.#tell(what, number, bytes);
    };
    try {
      const peer = this.#made(JSON.parse(new TextDecoder().decode(bytes)) as RTCIceServer[]);
      this.#peers.set(number, peer);
      // Never from within the wish itself.
      queueMicrotask(() => peer.listen(tell));
    } catch (error) {
      queueMicrotask(() => this.#tell(Happened.PeerFailed, number, text.encode(cause(error))));
    }
  }

  /** The connection that was made before, or another one: a connection that has described itself asks no further servers. */
  #made(servers: RTCIceServer[]): Peer {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare && servers.length === 0 && spare.isFresh) return spare;
    spare?.perform(Perform.PeerClose, new Uint8Array());
    const peer = new Peer(servers);
    void peer.describe();
    return peer;
  }
}

/** Tells what happened to one connection. */
type TellOfOne = (what: number, bytes?: Uint8Array) => void;

class Peer {
  readonly #connection: RTCPeerConnection;
  readonly #control: RTCDataChannel;
  readonly #terminal: RTCDataChannel;
  #listener: TellOfOne | undefined;
  /** What happened before anybody listened: a description, and candidates. */
  readonly #untold: [number, Uint8Array | undefined][] = [];
  readonly #madeAt = performance.now();
  #hasFailed = false;
  #hasPath = false;
  #isClosed = false;

  constructor(servers: RTCIceServer[]) {
    this.#connection = new RTCPeerConnection({ iceServers: servers, bundlePolicy: "max-bundle" });
    this.#control = this.#connection.createDataChannel("beach/control/1", { negotiated: true, id: 0 });
    this.#terminal = this.#connection.createDataChannel("beach/terminal/1", {
      negotiated: true,
      id: 1,
      ordered: false,
      maxPacketLifeTime: LIFETIME_MS,
    });
    this.#watchConnection();
    this.#watchChannel(this.#control, Happened.PeerControl, () => this.#tell(Happened.PeerControlOpen));
    this.#watchChannel(this.#terminal, Happened.PeerTerminal, () => this.#secured());
    this.#control.bufferedAmountLowThreshold = 0;
    this.#control.onbufferedamountlow = () => this.#tell(Happened.PeerDrained);
  }

  /** Whether a connection that was made before it was asked for is as good as a new one. */
  get isFresh(): boolean {
    return !this.#hasFailed && performance.now() - this.#madeAt <= FRESH_MS;
  }

  /** From now on all that happens is told, and first what has happened already. */
  listen(listener: TellOfOne): void {
    this.#listener = listener;
    for (const [what, bytes] of this.#untold.splice(0)) this.#tell(what, bytes);
  }

  async describe(): Promise<void> {
    try {
      const offer = await this.#connection.createOffer();
      await this.#connection.setLocalDescription(offer);
      this.#tell(Happened.PeerDescribed, text.encode(offer.sdp ?? ""));
    } catch (error) {
      this.#failed(error);
    }
  }

  perform(what: number, bytes: Uint8Array<ArrayBuffer>): void {
    switch (what) {
      case Perform.PeerConnect: {
        const sdp = new TextDecoder().decode(bytes);
        this.#connection.setRemoteDescription({ type: "answer", sdp }).catch((error: unknown) => this.#failed(error));
        break;
      }
      case Perform.PeerCandidate: {
        const candidate = { candidate: new TextDecoder().decode(bytes), sdpMid: "0", sdpMLineIndex: 0 };
        // One that the browser does not take is one path less.
        this.#connection.addIceCandidate(candidate).catch(() => {});
        break;
      }
      case Perform.PeerControl:
        this.#send(this.#control, bytes);
        break;
      case Perform.PeerTerminal:
        if (this.#terminal.bufferedAmount <= MOST_BUFFERED) this.#send(this.#terminal, bytes);
        break;
      case Perform.PeerClose:
        this.#isClosed = true;
        setTimeout(() => this.#connection.close(), CLOSE_AFTER_MS);
        break;
    }
  }

  #tell(what: number, bytes?: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#listener) this.#listener(what, bytes);
    else this.#untold.push([what, bytes]);
  }

  #send(channel: RTCDataChannel, bytes: Uint8Array<ArrayBuffer>): void {
    if (channel.readyState !== "open") return;
    try {
      channel.send(bytes);
    } catch {
      // The channel is full or closing: its `close` event says so.
    }
  }

  #watchConnection(): void {
    const connection = this.#connection;
    connection.onicecandidate = (event) => {
      if (event.candidate?.candidate) this.#tell(Happened.PeerCandidate, text.encode(event.candidate.candidate));
    };
    connection.oniceconnectionstatechange = () => {
      const state = connection.iceConnectionState;
      if (!this.#hasPath && (state === "connected" || state === "completed")) {
        this.#hasPath = true;
        this.#tell(Happened.PeerPathFound);
        const ice = connection.sctp?.transport.iceTransport;
        if (ice) ice.onselectedcandidatepairchange = () => this.#tellPath();
      }
    };
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed") this.#tell(Happened.PeerSilent);
      if (connection.connectionState === "closed") this.#tell(Happened.PeerClosed);
    };
  }

  #watchChannel(channel: RTCDataChannel, message: number, open: () => void): void {
    channel.binaryType = "arraybuffer";
    channel.onopen = open;
    channel.onclose = () => this.#tell(Happened.PeerClosed);
    channel.onerror = (event) => this.#failed(event instanceof RTCErrorEvent ? event.error : undefined);
    channel.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      const data = event.data;
      this.#tell(message, typeof data === "string" ? text.encode(data) : new Uint8Array(data));
    };
  }

  /** The terminal lane is open, so DTLS is up. */
  #secured(): void {
    this.#tellPath();
    const dtls = this.#connection.sctp?.transport;
    const certificate = dtls && "getRemoteCertificates" in dtls ? dtls.getRemoteCertificates()[0] : undefined;
    this.#tell(Happened.PeerTerminalOpen, certificate ? new Uint8Array(certificate) : undefined);
  }

  #tellPath(): void {
    const ice = this.#connection.sctp?.transport.iceTransport;
    const pair = ice && "getSelectedCandidatePair" in ice ? ice.getSelectedCandidatePair() : undefined;
    if (pair?.local && pair.remote) {
      this.#tell(Happened.PeerPath, text.encode(`${pair.local.candidate}\n${pair.remote.candidate}`));
    }
  }

  #failed(error: unknown): void {
    this.#hasFailed = true;
    this.#tell(Happened.PeerFailed, text.encode(cause(error)));
  }
}

function cause(error: unknown): string {
  return error instanceof Error && error.message ? error.message : "the browser refused the connection";
}
