/** What each type of event does to the view. */
import type { Draft } from "./draft";
import type { RunEvent, Scheduled } from "./events";
import { heldBy } from "./phases";

const GOES_ON = { status: "running", finishedAt: null, error: "" } as const;

export function applyOne(draft: Draft, event: RunEvent): void {
  const { view } = draft;
  const { data } = event;
  const at = Date.parse(event.at);
  draft.mark(event);
  switch (event.type) {
    case "StepCompleted":
      // A step that opens a map is over when its items are: MapClosed.
      if (data.items) {
        draft.items(event, "total", data.items.length);
        draft.turn(event, { status: "open" });
      } else draft.finish(event, "completed", at);
      draft.holdAhead(event);
      for (const key of Object.keys(data.update ?? {})) view.written[key] = event.seq;
      break;
    case "MapClosed":
      draft.finish(event, "completed", at);
      draft.holdAhead(event);
      break;
    case "StepFailed":
    case "MapFailed":
    case "BranchFrozen":
      draft.finish(event, "failed", at);
      draft.holdAhead(event);
      break;
    case "StepCancelled":
      draft.finish(event, "cancelled", at);
      break;
    case "AttemptFailed":
      draft.retry(event);
      return;
    case "StepRescheduled":
      draft.turn(event, { attempt: data.attempt ?? 1, status: startsIn(data.scheduled, event.step) ? "running" : "held", wait: null });
      return;
    case "StepWaiting":
      draft.turn(event, { status: "waiting", wait: data.wait ?? null });
      break;
    case "ChildStarted":
      draft.open(event);
      break;
    case "ItemCollected":
      draft.items(event, "done", 1);
      break;
    case "ItemFailed":
      draft.items(event, "failed", 1);
      break;
    case "StateEdited":
      for (const key of Object.keys(data.values ?? {})) view.written[key] = event.seq;
      break;
    case "RunPaused":
      view.isPaused = true;
      draft.hold(heldBy(event), at);
      break;
    case "BreakpointHit":
      if (data.stops) view.isPaused = true;
      draft.hold(heldBy(event), at);
      break;
    case "RunMigrated":
      draft.migrate(event);
      break;
    case "StepMoved":
      draft.move(event);
      break;
    case "RunReopened":
      Object.assign(view, GOES_ON, { isUndoing: false });
      break;
    case "CompensationStarted":
      Object.assign(view, GOES_ON, { isUndoing: true });
      break;
    case "RunCompleted":
      draft.end("completed", at);
      break;
    case "RunFailed":
    case "RunTimedOut":
      draft.end("failed", at, event.message);
      break;
    case "RunCancelled":
      if (!data.graceful) draft.end("cancelled", at);
      break;
    case "RunStopped":
      draft.end("cancelled", at);
      break;
  }
  for (const scheduled of data.scheduled ?? []) draft.schedule(scheduled, at);
  // To step out of the root scope is to resume.
  if (event.type === "RunResumed" || (data.mode === "out" && data.scheduled?.some(([, , path]) => path === ""))) draft.release();
}

const startsIn = (scheduled: Scheduled[] | undefined, step: string | null): boolean => scheduled?.some(([id]) => id === step) ?? false;
