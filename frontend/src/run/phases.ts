/** What a step did one after the other, for the timeline: attempts that failed, waits, holds. */
import type { RunEvent, StepStatus } from "./events";
import type { StepView } from "./view";

export interface Phase {
  status: StepStatus;
  at: number;
}

export interface Stretch {
  status: StepStatus;
  from: number;
  to: number;
}

/** What an event says of the step that it is about. */
export function phasesIn(event: RunEvent): Phase[] {
  const at = Date.parse(event.at);
  const { took_ms: took = 0, retry_at: retryAt, scheduled } = event.data;
  switch (event.type) {
    case "AttemptFailed": {
      const failed: Phase[] = [{ status: "failed", at: at - took }];
      if (!scheduled?.some(([id]) => id === event.step)) return [...failed, { status: "held", at }];
      const due = Math.max(Date.parse(retryAt ?? ""), at);
      return [...failed, { status: "retrying", at }, { status: "running", at: due }];
    }
    case "StepWaiting":
      return [{ status: "waiting", at }];
    case "StepRescheduled":
      return [{ status: "running", at }];
    default:
      return [];
  }
}

/** What a step did that was given out and is held uncalled from here on; what it was to do later it does not. */
export const held = (before: Phase[], at: number): Phase[] => [...before.filter((phase) => phase.at <= at), { status: "held", at }];

/** What a step did that is given out once more. */
export const givenOut = (before: Phase[], at: number): Phase[] => [...before, { status: "running", at }];

/** The steps that an event says are held from here on. */
export function heldBy({ type, step, data }: RunEvent): string[] {
  if (type === "RunPaused") return data.held ?? [];
  return type === "BreakpointHit" && data.stops ? (data.held ?? (step ? [step] : [])) : [];
}

/** Of these the next attempt is told by the phases of the event itself. */
const TELLS_THE_NEXT = new Set(["AttemptFailed", "StepRescheduled"]);
const ENDS = new Set(["StepCompleted", "MapClosed", "StepFailed", "MapFailed", "BranchFrozen", "StepCancelled"]);

/** What steps did that these events tell of, for a page that was not there. */
export function phasesOf(events: RunEvent[]): Map<string, Phase[]> {
  const phases = new Map<string, Phase[]>();
  const over = new Set<string>();
  for (const event of events) {
    const { type, step, data } = event;
    const at = Date.parse(event.at);
    const own = phasesIn(event);
    if (step && own.length > 0) phases.set(step, [...(phases.get(step) ?? []), ...own]);
    if (step && ENDS.has(type) && !(type === "StepCompleted" && data.items)) over.add(step);
    for (const id of heldBy(event)) phases.set(id, held(phases.get(id) ?? [], at));
    for (const [id] of TELLS_THE_NEXT.has(type) ? [] : (data.scheduled ?? [])) {
      const before = over.delete(id) ? undefined : phases.get(id);
      phases.set(id, before ? givenOut(before, at) : []);
    }
  }
  return phases;
}

/** A step runs for this long at most before it waits; that is no time of its own. */
const BRIEF_MS = 50;

/** The step's time, cut where it began to do something else. */
export function stretchesOf(step: StepView, now: number): Stretch[] {
  const end = step.finishedAt ?? now;
  const { phases } = step;
  const marks: Phase[] = phases[0]?.status === "failed" ? phases : [{ status: "running", at: step.startedAt }, ...phases];
  const last = marks.length - 1;
  return marks.flatMap(({ status, at }, index) => {
    const isOutcome = index === last && (status === "running" || step.finishedAt === null);
    const to = Math.max(Math.min(marks[index + 1]?.at ?? end, end), at);
    const isToCome = step.status === "retrying" || (step.finishedAt !== null && at > end);
    if (index === last ? isToCome : status === "running" && to - at < BRIEF_MS) return [];
    return [{ status: isOutcome ? step.status : status, from: at, to }];
  });
}
