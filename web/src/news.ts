// The machine's news for the page: JSON, made by `runtime-web/src/news.rs`. All sentences come from there.

export type Role = "control" | "view";

export interface Member {
  number: number;
  name: string;
  role: Role;
  types: boolean;
  you: boolean;
}

export type News =
  /** A step of the handshake: its name, and the step in words. */
  | { kind: "stage"; stage: Stage; words: string }
  /** The rendezvous does not answer yet; the machine goes on trying. */
  | { kind: "unreachable"; text: string }
  /** The four words that the host sees too while they decide. */
  | { kind: "check"; words: string[] }
  /** The first screen is complete, and comes next. */
  | { kind: "live"; role: Role }
  /** How the page is connected. */
  | { kind: "path"; way: string; text: string; again: boolean }
  | { kind: "title"; title: string }
  | { kind: "bell" }
  /** The program wants to put this into the person's clipboard. */
  | { kind: "clipboard"; text: string }
  /** Nothing is received any more; stages follow until `back`. */
  | { kind: "away"; text: string }
  | { kind: "back" }
  /** A sentence to show for a while; `who` says it. */
  | { kind: "said"; who: "host" | "beach"; text: string }
  | { kind: "role"; role: Role; text: string }
  /** The session is paused, in words, or goes on. */
  | { kind: "paused"; text: string | null }
  /** Some typing was lost. */
  | { kind: "lost"; text: string }
  /** The person typed, and may only watch. */
  | { kind: "readonly"; text: string }
  | { kind: "members"; members: Member[]; more: number; host_types: boolean }
  /** The answer to a question for the state of the connection. */
  | { kind: "status"; path: string; round_trip: string | null }
  /** The session is over. */
  | { kind: "exit"; end: "ended" | "left" | "failed" | "link"; what: string; why: string; advice: string };

export type Stage =
  | "reaching_rendezvous"
  | "waiting_for_host"
  | "authenticating"
  | "waiting_for_approval"
  | "offer"
  | "answer"
  | "checking_paths"
  | "securing"
  | "confirming"
  | "opening_control"
  | "first_screen"
  | "live";
