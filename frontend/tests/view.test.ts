import { expect, test } from "vitest";
import { modelOf } from "../src/graph/model";
import type { Boot } from "../src/run/events";
import { edgeLive } from "../src/run/live";
import { apply, MOST_LOG_LINES, MOST_STEPS, move, statusOf, turnsOf, viewOf, withHead } from "../src/run/view";
import { reviewLoop } from "./definitions";
import { at, emptyBoot, event, loopTwice } from "./boot";

const after = (count: number) => apply(viewOf(emptyBoot), loopTwice.slice(0, count));

test("a scheduled step runs until its event ends it", () => {
  expect(statusOf(after(1).nodes.extract)).toBe("running");
  expect(statusOf(after(2).nodes.extract)).toBe("completed");
  expect(statusOf(after(2).nodes.check)).toBe("running");
});

test("a node in a loop counts its turns", () => {
  const view = after(7);
  expect(turnsOf(view.nodes.check)).toBe(2);
  expect(turnsOf(view.nodes.extract)).toBe(1);
  expect(view.status).toBe("completed");
  expect(view.finishedAt).toBe(Date.parse(at(7)));
});

test("events that are known already change nothing", () => {
  const view = after(7);
  expect(apply(view, loopTwice)).toBe(view);
  expect(apply(after(4), loopTwice)).toEqual(view);
});

test("events in one batch and one by one give the same view", () => {
  const oneByOne = loopTwice.reduce((view, each) => apply(view, [each]), viewOf(emptyBoot));
  expect(oneByOne).toEqual(after(7));
});

test("applying leaves the earlier view as it was", () => {
  const before = after(3);
  const copy = structuredClone(before);
  apply(before, loopTwice);
  expect(before).toEqual(copy);
});

test("the log tells what happened and what started because of it", () => {
  expect(after(2).log.map((line) => line.text)).toEqual([
    "RunStarted",
    "Started node: extract",
    "StepCompleted extract",
    "Started node: check",
  ]);
});

test("the boot of a page loaded in the middle and the events since are the same as all events", () => {
  const boot: Boot = {
    ...emptyBoot,
    run: { ...emptyBoot.run, status: "running", started_at: at(1) },
    seq: 3,
    nodes: [
      { node: "extract", status: "completed", count: 1, latest_seq: 2 },
      { node: "check", status: "completed", count: 1, latest_seq: 3 },
      { node: "evaluate", status: "running", count: 1, latest_seq: 0 },
    ],
    steps: [
      { step: "s1", node: "extract", path: "", status: "completed", attempt: 1, started_at: at(1), finished_at: at(2), error: "" },
      { step: "s2", node: "check", path: "", status: "completed", attempt: 1, started_at: at(2), finished_at: at(3), error: "" },
      { step: "s3", node: "evaluate", path: "", status: "running", attempt: 1, started_at: at(3), finished_at: null, error: "" },
    ],
    events: loopTwice.slice(0, 3),
  };
  const written = { functions: 2 }; // what was written before the page was loaded is not marked as new
  expect({ ...apply(viewOf(boot), loopTwice), written }).toEqual(after(7));
});

test("a failed step shows its error, and the run why it failed", () => {
  const failure = event(2, "StepFailed", { error: { type: "ValueError", message: "no" } }, { node: "extract", step: "s1" });
  const view = apply(after(1), [failure, event(3, "RunFailed")]);
  expect(statusOf(view.nodes.extract)).toBe("failed");
  expect(view.steps.get("s1")?.error).toBe("ValueError: no");
  expect([view.status, view.error]).toEqual(["failed", "RunFailed"]);
  expect(view.log.at(-1)?.tone).toBe("bad");
});

test("a finished step lasted as long as its tool ran, however long it had waited for its turn", () => {
  const view = apply(after(1), [event(9, "StepCompleted", { took_ms: 250 }, { node: "extract", step: "s1" })]);
  expect(view.steps.get("s1")).toMatchObject({ startedAt: Date.parse(at(9)) - 250, finishedAt: Date.parse(at(9)) });
});

test("a frozen branch does not count its failed step twice", () => {
  const error = { type: "ValueError", message: "no" };
  const of = { node: "extract", step: "s1" };
  const view = apply(after(1), [event(2, "StepFailed", { error }, of), event(3, "BranchFrozen", { error }, of)]);
  expect(turnsOf(view.nodes.extract)).toBe(1);
});

test("a join that freezes without having run counts as failed", () => {
  const view = apply(after(1), [event(2, "BranchFrozen", { error: { type: "E", message: "" } }, { node: "meet", step: "j" })]);
  expect(view.nodes.meet?.counts).toMatchObject({ failed: 1, running: 0 });
});

test("a step whose worker died runs again as its next attempt", () => {
  const view = apply(after(1), [event(2, "StepRescheduled", { attempt: 2 }, { node: "extract", step: "s1" })]);
  expect(view.steps.get("s1")).toMatchObject({ status: "running", attempt: 2 });
  expect(turnsOf(view.nodes.extract)).toBe(1);
});

test("a map's node runs until its items are over and counts them", () => {
  const of = { node: "extract", step: "s1" };
  const opened = apply(after(1), [event(2, "StepCompleted", { items: [1, 2, 3] }, of)]);
  expect(statusOf(opened.nodes.extract)).toBe("running");
  const later = apply(opened, [
    event(3, "ItemCollected", {}, { step: "s1" }),
    event(4, "ItemFailed", {}, { step: "s1" }),
    event(5, "ItemCollected", {}, { step: "s1" }),
    event(6, "MapClosed", {}, of),
  ]);
  expect(later.nodes.extract?.items).toEqual({ total: 3, done: 2, failed: 1 });
  expect(statusOf(later.nodes.extract)).toBe("completed");
});

test("an edge is taken when it is known to be, and hot while its target runs", () => {
  const edges = modelOf(reviewLoop).edges;
  const live = (view: ReturnType<typeof after>, source: string, target: string) =>
    edges.filter((edge) => edge.source === source && edge.target === target).map((edge) => edgeLive({ view }, edge));
  expect(live(after(2), "extract", "check")).toEqual(["hot"]);
  expect(live(after(3), "extract", "check")).toEqual(["taken"]);
  expect(live(after(3), "evaluate", "end")).toEqual(["untouched"]);
  expect(live(after(4), "evaluate", "check")).toEqual(["hot"]);
  expect(after(7).taken).toContain(move("evaluate", "end"));
});

test("old steps and lines are dropped, running steps are not", () => {
  const many = Array.from({ length: MOST_STEPS + 100 }, (_, index) => [
    event(2 * index + 2, "LogWritten", { scheduled: [[`x${index}`, "check", ""]] }),
    event(2 * index + 3, "StepCompleted", {}, { node: "check", step: `x${index}` }),
  ]).flat();
  const view = apply(after(1), many);
  expect(view.steps.size).toBe(MOST_STEPS);
  expect(view.steps.has("s1")).toBe(true);
  expect(turnsOf(view.nodes.check)).toBe(MOST_STEPS + 100);
  expect(view.log.length).toBe(MOST_LOG_LINES);
});

test("the head tells that a worker has begun, and never takes an event back", () => {
  const pending = viewOf(emptyBoot);
  const begun = withHead(pending, { status: "running", error: "", started_at: at(2) });
  expect([begun.status, begun.startedAt]).toEqual(["running", Date.parse(at(2))]);
  expect(withHead(pending, { status: "completed", error: "", started_at: at(2) }).status).toBe("pending");
  expect(withHead(after(3), { status: "pending", error: "", started_at: null })).toEqual(after(3));
});

test("the head tells in full why a run failed", () => {
  const failed = apply(after(1), [event(2, "RunFailed")]);
  expect(withHead(failed, { status: "failed", error: "a: ValueError: no", started_at: null }).error).toBe("a: ValueError: no");
});

test("a run that is pending runs with the first sign of life", () => {
  const boot: Boot = { ...emptyBoot, seq: 1, run: { ...emptyBoot.run, status: "pending" } };
  expect(apply(viewOf(boot), loopTwice.slice(1, 2)).status).toBe("running");
});
