// The numbers of the two calls between page and machine. Below 32 they are core's (`core/src/endpoint/page.rs`), from 32 on
// those of `runtime-web/src/codes.rs`.

/** The machine's requests to the page: the first argument of `perform`. */
export const Perform = {
  PeerOpen: 0,
  PeerConnect: 1,
  PeerCandidate: 2,
  PeerControl: 3,
  PeerTerminal: 4,
  PeerClose: 5,
  Dial: 32,
  HangUp: 33,
  Signal: 34,
  Size: 35,
  Show: 36,
  News: 37,
} as const;

/** The page's events for the machine: the second argument of `happened`. */
export const Happened = {
  SignalUp: 0,
  SignalDown: 1,
  Signal: 2,
  PeerDescribed: 8,
  PeerCandidate: 9,
  PeerPathFound: 10,
  PeerPath: 11,
  PeerControlOpen: 12,
  PeerTerminalOpen: 13,
  PeerControl: 14,
  PeerTerminal: 15,
  PeerDrained: 16,
  PeerSilent: 17,
  PeerClosed: 18,
  PeerFailed: 19,
  Tick: 32,
  Typed: 33,
  Shown: 34,
  Room: 35,
  Leave: 36,
  Status: 37,
} as const;
