/** What steps wait for, in words. */
import type { Json } from "./events";
import { clock, day } from "../ui/time";

/** As the engine puts it, or as the server hides it. A retry waits for its time. */
export type Wait = Json;

const KINDS: Record<string, string> = { human: "a person's answer", lock: "its turn" };

export const retryAt = (at: string): Wait => ({ kind: "retry", at });

/** When the next attempt is due, in milliseconds; null if that is not what the step waits for. */
export function dueAt(wait: Wait): number | null {
  if (!wait || typeof wait !== "object" || Array.isArray(wait)) return null;
  return wait.kind === "retry" && typeof wait.at === "string" ? Date.parse(wait.at) : null;
}

function moment(at: Json | undefined): string {
  const time = typeof at === "string" ? Date.parse(at) : Number.NaN;
  if (Number.isNaN(time)) return "";
  return Math.abs(time - Date.now()) < 12 * 3_600_000 ? clock(time, false) : day(time);
}

function entryText(entry: Json): string {
  if (!entry || typeof entry !== "object" || Array.isArray(entry)) return "";
  return entry.signal ? `signal ${String(entry.signal)}` : `until ${moment(entry.at)}`;
}

/** Such as `signal paid or until 14:30:05`; empty where it is not known. */
export function waitText(wait: Wait, attempt: number): string {
  if (!wait || typeof wait !== "object" || Array.isArray(wait)) return "";
  const { kind, at, entries, timeout_at: timeout, due_at: due } = wait;
  if (kind === "retry") return `attempt ${attempt} at ${moment(at)}`;
  // Of a node's line a date leaves little.
  if (kind === "human" && due) return `answer until ${moment(due)}`;
  if (typeof kind === "string" && KINDS[kind]) return due ? `${KINDS[kind]} until ${moment(due)}` : KINDS[kind];
  const ways = (Array.isArray(entries) ? entries : []).map(entryText).join(" or ");
  return timeout ? `${ways}, at most until ${moment(timeout)}` : ways;
}
