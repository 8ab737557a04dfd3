import { expect, test } from "vitest";
import type { EventData } from "../src/run/events";
import { phasesOf, stretchesOf } from "../src/run/phases";
import { apply, viewOf } from "../src/run/view";
import { at, emptyBoot, event, loopTwice } from "./boot";

const of = { node: "extract", step: "s1" };
const started = apply(viewOf(emptyBoot), loopTwice.slice(0, 1));

const told = (now: number, ...later: [type: string, data: EventData][]): string[] => {
  const view = apply(started, later.map(([type, data], index) => event(index + 2, type, data, of)));
  const step = view.steps.get("s1");
  const seconds = (time: number) => (time - Date.parse(at(0))) / 1_000;
  return step ? stretchesOf(step, Date.parse(at(now))).map(({ status, from, to }) => `${status} ${seconds(from)}-${seconds(to)}`) : [];
};
const retry: [string, EventData] = ["AttemptFailed", { took_ms: 500, retry_at: at(5), scheduled: [["s1", "extract", ""]] }];

test("a step that runs is one stretch until now", () => {
  expect(told(3)).toEqual(["running 1-3"]);
});

test("an attempt that failed, the time to the next, and the next", () => {
  expect(told(4, retry)).toEqual(["failed 1.5-2", "retrying 2-4"]);
  const done: [string, EventData] = ["StepCompleted", { took_ms: 1_000 }];
  expect(told(9, retry, done)).toEqual(["failed 1.5-2", "retrying 2-3"]);
  const late = apply(started, [event(2, ...retry, of), event(7, ...done, of)]).steps.get("s1");
  expect(late && stretchesOf(late, Date.parse(at(9))).map(({ status }) => status)).toEqual(["failed", "retrying", "completed"]);
});

test("a wait stays a wait when it is over", () => {
  const wait: [string, EventData] = ["StepWaiting", { wait: {} }];
  expect(told(4, wait)).toEqual(["running 1-2", "waiting 2-4"]);
  expect(told(9, wait, ["StepCompleted", {}])).toEqual(["running 1-2", "waiting 2-3"]);
});

test("what began after the time that the page knows of is there all the same", () => {
  expect(told(1, ["StepWaiting", { wait: {} }])).toEqual(["waiting 2-2"]);
});

test("a step whose attempt a pause holds is held", () => {
  expect(told(4, ["AttemptFailed", { took_ms: 500, retry_at: "" }])).toEqual(["failed 1.5-2", "held 2-4"]);
});

test("a page that is loaded later knows the same of what steps did as one that was there", () => {
  const again: EventData = { scheduled: [["s1", "extract", ""]] };
  const events = [
    ...loopTwice.slice(0, 1),
    event(2, "BreakpointHit", { stops: true }, of),
    event(3, "StepReleased", again),
    event(4, "AttemptFailed", { took_ms: 500, retry_at: at(60), ...again }, of),
    event(5, "RunPaused", { held: ["s1"] }),
    event(6, "RunResumed", again),
    event(7, "StepFailed", { took_ms: 500 }, of),
    event(8, "RunReopened", again),
    event(9, "StepWaiting", { wait: {} }, of),
    event(10, "StepCompleted", {}, of),
  ];
  const seen = events.map((_, index) => apply(viewOf(emptyBoot), events.slice(0, index + 1)).steps.get("s1")?.phases);
  expect(events.map((_, index) => phasesOf(events.slice(0, index + 1)).get("s1"))).toEqual(seen);
  expect(seen.map((phases) => phases?.map(({ status }) => status).join(" "))).toEqual([
    "", "held", "held running", "held running failed retrying running", "held running failed retrying held",
    "held running failed retrying held running", "held running failed retrying held running", "", "waiting", "waiting",
  ]);
});
