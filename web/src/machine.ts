// The viewer's machine: beach's own, compiled to WebAssembly. Everything it does is an answer to `happened`.

/** Something that the machine wants done. `bytes` are the caller's. */
export interface Wish {
  what: number;
  peer: number;
  bytes: Uint8Array<ArrayBuffer>;
}

interface Exports {
  memory: WebAssembly.Memory;
  room(length: number): number;
  start(now: number, length: number): number;
  happened(now: number, what: number, peer: number, length: number): number;
  width(code: number): number;
  rehearse(): number;
}

/** Starts to fetch and to compile at once. */
export async function load(url: URL): Promise<Machine> {
  const wishes: Wish[] = [];
  let memory: WebAssembly.Memory | undefined;
  const imports = {
    beach: {
      perform(what: number, peer: number, at: number, length: number): void {
        if (memory) wishes.push({ what, peer, bytes: new Uint8Array(memory.buffer, at, length).slice() });
      },
      random(at: number, length: number): void {
        if (memory) crypto.getRandomValues(new Uint8Array(memory.buffer, at, length));
      },
    },
  };
  const { instance } = await WebAssembly.instantiateStreaming(fetch(url), imports);
  const exports = instance.exports as unknown as Exports;
  memory = exports.memory;
  return new Machine(exports, wishes);
}

/** One machine, for one page. */
export class Machine {
  readonly #exports: Exports;
  readonly #wishes: Wish[];

  constructor(exports: Exports, wishes: Wish[]) {
    this.#exports = exports;
    this.#wishes = wishes;
  }

  /** Begins, or begins again. Returns the wishes and the time of the next tick, in milliseconds; Infinity for none. */
  start(now: number, plan: string): [Wish[], number] {
    const next = this.#exports.start(now, this.#put(new TextEncoder().encode(plan)));
    return [this.#wishes.splice(0), next];
  }

  /** Tells what happened. Never from within a wish. */
  happened(now: number, what: number, peer: number, bytes: Uint8Array): [Wish[], number] {
    const next = this.#exports.happened(now, what, peer, this.#put(bytes));
    return [this.#wishes.splice(0), next];
  }

  /** How many columns the model of a terminal gives a character. */
  width(code: number): 0 | 1 | 2 {
    const width = this.#exports.width(code);
    return width >= 2 ? 2 : width === 1 ? 1 : 0;
  }

  /** Runs through what a frame needs, with nothing to see, so that the browser has compiled it when the first frame comes. */
  rehearse(): void {
    this.#exports.rehearse();
  }

  #put(bytes: Uint8Array): number {
    const at = this.#exports.room(bytes.length);
    new Uint8Array(this.#exports.memory.buffer, at, bytes.length).set(bytes);
    return bytes.length;
  }
}
