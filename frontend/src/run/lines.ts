/** The lines of the log. */
import type { Draft } from "./draft";
import type { RunEvent } from "./events";
import { addressAt, addressOf, move, splitAddress } from "./places";
import type { LogTone } from "./view";

const TONES: Record<string, LogTone> = {
  StepCompleted: "good",
  MapClosed: "good",
  RunCompleted: "good",
  StepFailed: "bad",
  MapFailed: "bad",
  BranchFrozen: "bad",
  ItemFailed: "bad",
  RunFailed: "bad",
  RunTimedOut: "bad",
  RunParked: "bad",
  AttemptFailed: "warn",
  BreakpointHit: "warn",
  CompensationStarted: "warn",
  ConflictForeseen: "warn",
  MailRefused: "warn",
  RunCancelled: "warn",
  RunPaused: "warn",
  RunStopped: "warn",
  StateEdited: "warn",
  StepCancelled: "warn",
  StepRescheduled: "warn",
};

const LEVELS: Record<string, LogTone> = { warning: "warn", error: "bad", critical: "bad" };

function toneOf({ type, data }: RunEvent): LogTone {
  return type === "LogWritten" ? (LEVELS[data.level ?? ""] ?? "said") : (TONES[type] ?? "plain");
}

/** Add what the event says to the log, and the moves it tells of to those that are taken. */
export function note(draft: Draft, event: RunEvent): void {
  const { view } = draft;
  const at = Date.parse(event.at);
  const address = draft.address(event);
  view.log.push({
    key: `${event.seq}`,
    at,
    address,
    text: event.message,
    tone: toneOf(event),
    isSaid: event.type === "LogWritten",
    isFailure: event.type === "StepFailed" || event.type === "AttemptFailed",
  });
  // The journal knows when steps were scheduled, not when their tools were called, which limits and busy workers put off.
  // That the next attempt is due later its failure tells.
  const started = event.type === "AttemptFailed" ? [] : (event.data.scheduled ?? []);
  started.forEach(([, node, path], index) => {
    const text = `${event.data.undoing ? "Undoing" : "Scheduled"} node: ${node}${path ? ` (${path})` : ""}`;
    view.log.push({ key: `${event.seq}.${index}`, at, address: addressOf(view.places, path, node), text, tone: "start" });
  });
  if (address === null) return;
  const [place] = splitAddress(address);
  for (const target of event.data.route ?? []) (view.taken as Set<string>).add(move(address, addressAt(place, target)));
}
