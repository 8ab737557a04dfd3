import { expect, test } from "vitest";
import { modelOf } from "../src/graph/model";
import type { Boot, Json } from "../src/run/events";
import { edgeLive, insideOf, nodeLive } from "../src/run/live";
import { MOST_LOG_LINES, MOST_STEPS } from "../src/run/draft";
import { addressOf, move } from "../src/run/places";
import { apply, hasUntold, marksOf, mayQueue, promote, shownStatus, statusOf, turnsOf, viewOf, withHead, withItems, withQueued } from "../src/run/view";
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
    "Scheduled node: extract",
    "StepCompleted extract",
    "Scheduled node: check",
  ]);
});

test("the boot of a page loaded in the middle and the events since are the same as all events", () => {
  const boot: Boot = {
    ...emptyBoot,
    run: { ...emptyBoot.run, status: "running", started_at: at(1) },
    seq: 3,
    nodes: [
      { address: "extract", status: "completed", count: 1, latest_seq: 2 },
      { address: "check", status: "completed", count: 1, latest_seq: 3 },
      { address: "evaluate", status: "running", count: 1, latest_seq: 0 },
    ],
    steps: [
      { step: "s1", node: "extract", path: "", status: "completed", attempt: 1, started_at: at(1), finished_at: at(2), error: "", wait: null },
      { step: "s2", node: "check", path: "", status: "completed", attempt: 1, started_at: at(2), finished_at: at(3), error: "", wait: null },
      { step: "s3", node: "evaluate", path: "", status: "running", attempt: 1, started_at: at(3), finished_at: null, error: "", wait: null },
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
  const view = apply(after(1), [event(2, "StepRescheduled", { attempt: 2, scheduled: [["s1", "extract", ""]] }, { node: "extract", step: "s1" })]);
  expect(view.steps.get("s1")).toMatchObject({ status: "running", attempt: 2 });
  expect(turnsOf(view.nodes.extract)).toBe(1);
});

test("a step that is held uncalled waits until it is scheduled again", () => {
  const held = [event(2, "RunPaused", { held: ["s1", "unknown"] }), event(2, "BreakpointHit", { stops: true }, { step: "s1" })];
  for (const pause of held) {
    const view = apply(after(1), [pause]);
    expect(view.steps.get("s1")?.status).toBe("held");
    expect(statusOf(view.nodes.extract)).toBe("held");
    const again = apply(view, [event(3, "RunResumed", { scheduled: [["s1", "extract", ""]] })]);
    expect(turnsOf(again.nodes.extract)).toBe(1);
    expect(statusOf(again.nodes.extract)).toBe("running");
  }
  const passed = event(2, "BreakpointHit", { stops: false }, { step: "s1" });
  expect(apply(after(1), [passed]).steps.get("s1")?.status).toBe("running");
  expect(apply(after(2), [event(3, "RunPaused", { held: ["s1"] })]).steps.get("s1")?.status).toBe("completed");
  expect(apply(after(1), [event(2, "RunPaused")]).isPaused).toBe(true);
  expect(apply(after(1), [event(2, "RunPaused"), event(3, "RunResumed")]).isPaused).toBe(false);
});

const due = (seconds: number) => ({ retry_at: at(seconds), scheduled: [["s1", "extract", ""]] as [string, string, string][] });

test("an attempt that failed is followed by the next when that is due", () => {
  const failed = apply(after(1), [event(2, "AttemptFailed", { ...due(9), took_ms: 500 }, { node: "extract", step: "s1" })]);
  expect(failed.steps.get("s1")).toMatchObject({ status: "retrying", attempt: 2, finishedAt: null });
  expect([statusOf(failed.nodes.extract), turnsOf(failed.nodes.extract), shownStatus(failed)]).toEqual(["retrying", 1, "waiting"]);
  expect(nodeLive({ view: failed }, "extract").note).toMatch(/^attempt 2 at /);
  expect(failed.log.map((line) => line.text)).not.toContain("Scheduled node: extract (2)");
  expect(promote(failed, Date.parse(at(8)))).toBe(failed);
  expect(shownStatus(promote(failed, Date.parse(at(9))))).toBe("running");
});

test("an attempt that is not to be followed by itself is held", () => {
  const error = { type: "E", message: "" };
  const events = [event(2, "AttemptFailed", { error, retry_at: "" }, { node: "extract", step: "s1" }), event(3, "RunPaused", { held: ["s1"] })];
  const view = apply(after(1), events);
  expect([statusOf(view.nodes.extract), shownStatus(view)]).toEqual(["held", "paused"]);
});

test("a step waits until its end is told, and says for what", () => {
  const wait: Json = { kind: "wait", entries: [{ signal: "paid" }, { at: at(60) }], timeout_at: null };
  const view = apply(after(1), [event(2, "StepWaiting", { wait }, { node: "extract", step: "s1" })]);
  expect(nodeLive({ view }, "extract")).toMatchObject({ status: "waiting", note: expect.stringMatching(/^signal paid or until /) });
  expect(shownStatus(view)).toBe("waiting");
  const over = apply(view, [event(3, "StepCompleted", { route: ["end"] }, { node: "extract", step: "s1" })]);
  expect([statusOf(over.nodes.extract), over.steps.get("s1")?.wait]).toEqual(["completed", null]);
});

const calling = [
  event(2, "ChildStarted", { graph: "part@1", digest: "d1", scheduled: [["c1", "read", "extract"]] }, { node: "extract", step: "s1" }),
  event(3, "StepCompleted", { path: "extract", items: [1, 2], scheduled: [["c2", "work", "extract.read[0]"], ["c3", "work", "extract.read[1]"]] }, { node: "read", step: "c1" }),
  event(4, "StepWaiting", { path: "extract.read[0]", wait: "[redacted]" }, { node: "work", step: "c2" }),
];

test("the steps of a subgraph are drawn in it, those of its maps too", () => {
  const view = apply(after(1), calling);
  expect(view.subgraphs).toEqual({ extract: { graph: "part@1", digest: "d1" } });
  expect(Object.keys(view.nodes)).toEqual(["extract", "extract/read", "extract/work"]);
  expect(view.nodes["extract/work"]?.counts).toMatchObject({ running: 1, waiting: 1 });
  expect(insideOf({ view }, "extract")).toEqual({ total: 3, done: 0 });
});

test("a node that calls shows what goes on inside", () => {
  const view = apply(after(1), calling);
  expect([nodeLive({ view }, "extract").status, shownStatus(view)]).toEqual(["running", "running"]);
  const waiting = apply(view, [event(5, "StepCompleted", { path: "extract.read[1]" }, { node: "work", step: "c3" })]);
  expect([nodeLive({ view: waiting }, "extract").status, shownStatus(waiting)]).toEqual(["waiting", "waiting"]);
});

test("a subgraph inside the items of a map is at one place for all of them", () => {
  const places = { "fan[0].call": "call", "fan[1].call": "call", "fan[1].call.deep": "call/deep" };
  expect(addressOf(places, "fan[1].call", "read")).toBe("call/read");
  expect(addressOf(places, "fan[0].call.in.ner[3]", "read")).toBe("call/read");
  expect(addressOf(places, "fan[1].call.deep", "read")).toBe("call/deep/read");
  expect(addressOf(places, "fan.with.dots[1]", "read")).toBe("read");
});

test("in a paused run the next node is held until the run goes on", () => {
  const paused = apply(after(1), [event(2, "RunPaused")]);
  expect(shownStatus(paused)).toBe("pausing");
  const held = apply(paused, [event(3, "StepCompleted", { route: ["check"] }, { node: "extract", step: "s1" })]);
  expect([statusOf(held.nodes.check), turnsOf(held.nodes.check), shownStatus(held)]).toEqual(["held", 0, "paused"]);
  const resumed = apply(held, [event(4, "RunResumed", { scheduled: [["s2", "check", ""]] })]);
  expect([statusOf(resumed.nodes.check), turnsOf(resumed.nodes.check), shownStatus(resumed)]).toEqual(["running", 1, "running"]);
});

test("stepping out of the run's own graph resumes the run, stepping on does not", () => {
  const paused = apply(after(2), [event(3, "RunPaused", { held: ["s2"] })]);
  const released = (mode?: string) => apply(paused, [event(4, "StepReleased", { mode, scheduled: [["s2", "check", ""]] })]);
  expect([released("out").isPaused, released().isPaused]).toEqual([false, true]);
});

test("what is undone is no turn of its node", () => {
  const events = [
    event(2, "StepFailed", { error: { type: "E", message: "" }, scheduled: [["u1", "extract", ""]] }, { node: "check", step: "s2" }),
    event(3, "CompensationStarted", {}),
  ];
  const undoing = apply(after(2), [event(3, "StepCompleted"), ...events.map((each, index) => ({ ...each, seq: 4 + index }))]);
  const extract = (view: typeof undoing) => [statusOf(view.nodes.extract, view.isUndoing), turnsOf(view.nodes.extract, view.isUndoing)];
  expect([...extract(undoing), shownStatus(undoing)]).toEqual(["undoing", 1, "undoing"]);
  const undone = apply(undoing, [event(9, "StepCompleted", {}, { node: "extract", step: "u1" }), event(10, "RunFailed")]);
  expect([...extract(undone), shownStatus(undone)]).toEqual(["undone", 1, "failed"]);
});

test("the boot tells what open steps do", () => {
  const steps: Boot["steps"] = [
    { step: "s1", node: "extract", path: "", status: "retrying", attempt: 3, started_at: at(1), finished_at: null, error: "", wait: { kind: "retry", at: at(9) } },
    { step: "c1", node: "read", path: "fan[0].call", status: "waiting", attempt: 1, started_at: at(1), finished_at: null, error: "", wait: "[redacted]" },
  ];
  const boot: Boot = {
    ...emptyBoot,
    run: { ...emptyBoot.run, status: "waiting" },
    is_paused: true,
    nodes: [
      { address: "extract", status: "retrying", count: 1, latest_seq: 0 },
      { address: "call/read", status: "waiting", count: 1, latest_seq: 0 },
      { address: "check", status: "ahead", count: 1, latest_seq: 0 },
    ],
    subgraphs: [{ place: "call", graph: "part@1", digest: "d", paths: ["fan[0].call"] }],
    steps,
  };
  const view = viewOf(boot);
  expect([shownStatus(view), statusOf(view.nodes.check)]).toEqual(["paused", "held"]);
  expect(view.steps.get("c1")?.address).toBe("call/read");
  expect(nodeLive({ view }, "extract").note).toMatch(/^attempt 3 at /);
});

test("a run that is cancelled is over when it stops, if steps may end or are undone before", () => {
  const cancelled = apply(after(1), [event(2, "RunCancelled")]);
  expect(cancelled.status).toBe("cancelled");
  const graceful = apply(after(1), [event(2, "RunCancelled", { graceful: true })]);
  const undoing = apply(cancelled, [event(3, "CompensationStarted")]);
  for (const view of [graceful, undoing]) {
    expect([view.status, view.finishedAt]).toEqual(["running", null]);
    expect(apply(view, [event(4, "RunStopped")]).status).toBe("cancelled");
  }
});

test("a map's node runs until its items are over and counts them", () => {
  const of = { node: "extract", step: "s1" };
  const opened = apply(after(1), [event(2, "StepCompleted", { items: [1, 2, 3] }, of)]);
  expect(statusOf(opened.nodes.extract)).toBe("open");
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
    edges.filter((edge) => edge.source === source && edge.target === target).map((edge) => edgeLive({ view }, "", edge));
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
  const begun = withHead(pending, { seq: 0, status: "running", error: "", started_at: at(2) });
  expect([begun.status, begun.startedAt]).toEqual(["running", Date.parse(at(2))]);
  expect(withHead(pending, { seq: 0, status: "completed", error: "", started_at: at(2) }).status).toBe("pending");
  expect(withHead(after(3), { seq: 3, status: "pending", error: "", started_at: null })).toEqual(after(3));
});

test("the head tells in full why a run failed", () => {
  const failed = apply(after(1), [event(2, "RunFailed")]);
  expect(withHead(failed, { seq: failed.seq, status: "failed", error: "a: ValueError: no", started_at: null }).error).toBe("a: ValueError: no");
});

test("a run that is pending runs with the first sign of life", () => {
  const boot: Boot = { ...emptyBoot, seq: 1, run: { ...emptyBoot.run, status: "pending" } };
  expect(apply(viewOf(boot), loopTwice.slice(1, 2)).status).toBe("running");
});

test("a run that moves to another version goes on at nodes with their new names", () => {
  const paused = apply(after(3), [event(4, "RunPaused", { held: ["s3"] })]);
  const view = apply(paused, [
    event(5, "RunMigrated", { version: "review@2", digest: "d2", mapping: { evaluate: "judge" } }),
    event(6, "StepMoved", {}, { node: "judge", step: "s3" }),
  ]);
  expect(view.movedTo).toEqual({ version: "review@2", digest: "d2" });
  expect(statusOf(view.nodes.judge)).toBe("held");
  expect(turnsOf(view.nodes.evaluate)).toBe(0);
  expect(view.steps.get("s3")).toMatchObject({ node: "judge", address: "judge" });
});

test("what a pause holds ahead of a node is ahead of it under its new name", () => {
  const paused = apply(after(3), [event(4, "RunPaused")]);
  const held = apply(paused, [event(5, "StepCompleted", { route: ["check"] }, { node: "evaluate", step: "s3" })]);
  expect(held.nodes.check?.ahead).toBe(1);
  const view = apply(held, [event(6, "RunMigrated", { version: "review@2", digest: "d2", mapping: { check: "look" } })]);
  expect([view.nodes.check?.ahead, view.nodes.look?.ahead]).toEqual([0, 1]);
});

test("a run that was stepped out of goes on, which its head tells", () => {
  const paused = apply(after(3), [event(4, "RunPaused"), event(5, "StepReleased", { mode: "out" })]);
  const head = { status: "running", error: "", started_at: at(1) } as const;
  expect(withHead(paused, { ...head, seq: 4 }).isPaused).toBe(true);
  expect(withHead(paused, { ...head, seq: 5, status: "paused" }).isPaused).toBe(true);
  expect(withHead(paused, { ...head, seq: 5 }).isPaused).toBe(false);
  expect(shownStatus(withHead(paused, { ...head, seq: 5 }))).toBe("running");
});

test("the items of a map that collects nothing are asked for while it is open", () => {
  const fan = (collect: Record<string, Json> | null) => ({ map: "= x", to: "work", join: "end", collect });
  const definition = { name: "fans", start_node: "fan", nodes: { fan: { next: fan(null) }, told: { next: fan({ y: "= y" }) } } };
  expect([...marksOf(definition).untold]).toEqual(["fan"]);
  const opened = (node: string) =>
    apply(viewOf({ ...emptyBoot, definition }), [
      event(1, "RunStarted", { scheduled: [["m", node, ""]] }),
      event(2, "StepCompleted", { items: [1, 2, 3] }, { node, step: "m" }),
    ]);
  expect([hasUntold(opened("fan")), hasUntold(opened("told"))]).toEqual([true, false]);
  const view = withItems(opened("fan"), [{ address: "fan", total: 3, done: 2, failed: 1 }]);
  expect(view.nodes.fan?.items).toEqual({ total: 3, done: 2, failed: 1 });
  const closed = apply(view, [event(3, "MapClosed", {}, { node: "fan", step: "m" })]);
  expect(hasUntold(closed)).toBe(false);
});

test("a step that is given out and not called is queued until its worker tells otherwise", () => {
  const scheduled: [string, string, string][] = [["w0", "work", "m[0]"], ["w1", "work", "m[1]"]];
  const both = apply(after(1), [event(2, "StepCompleted", { items: [0, 1], scheduled }, { node: "extract", step: "s1" })]);
  expect([mayQueue(after(1)), mayQueue(both)]).toEqual([false, true]);
  expect(nodeLive({ view: withQueued(both, ["w1"], 0) }, "work").status).toBe("running");
  const waiting = withQueued(both, ["w0", "w1"], 0);
  expect(nodeLive({ view: waiting }, "work")).toMatchObject({ status: "queued", note: "waits for its turn" });
  const begun = withQueued(waiting, ["w1"], Date.parse(at(9)));
  expect(nodeLive({ view: begun }, "work").status).toBe("running");
  expect(begun.steps.get("w0")?.startedAt).toBe(Date.parse(at(9)));
  expect(mayQueue(apply(waiting, [event(3, "RunCompleted")]))).toBe(false);
});

test("a page that is loaded while steps are queued shows them so", () => {
  const step = { step: "s1", node: "extract", path: "", attempt: 1, started_at: at(1), finished_at: null, error: "", wait: null };
  const nodes: Boot["nodes"] = [{ address: "extract", status: "running", count: 1, latest_seq: 0 }];
  const boot: Boot = { ...emptyBoot, run: { ...emptyBoot.run, status: "running" }, seq: 1, nodes, steps: [{ ...step, status: "running" }], queued: ["s1"] };
  expect(nodeLive({ view: viewOf(boot) }, "extract").status).toBe("queued");
});

test("in a paused run no item of a map is held where the items meet, but what comes behind the whole map is", () => {
  const definition = { name: "fans", start_node: "fan", nodes: { fan: { next: { map: "= x", to: "work", join: "meet" } }, work: { next: "meet" }, meet: {} } };
  const scheduled: [string, string, string][] = [["w0", "work", "fan[0]"], ["w1", "work", "fan[1]"]];
  const opened = apply(viewOf({ ...emptyBoot, definition }), [
    event(1, "RunStarted", { scheduled: [["m", "fan", ""]] }),
    event(2, "StepCompleted", { items: [1, 2], scheduled }, { node: "fan", step: "m" }),
    event(3, "RunPaused"),
  ]);
  const over = (seq: number, item: number) =>
    event(seq, "StepCompleted", { route: ["meet"], path: `fan[${item}]` }, { node: "work", step: `w${item}` });
  const one = apply(opened, [over(4, 0)]);
  expect([statusOf(one.nodes.meet), statusOf(one.nodes.work)]).toEqual(["idle", "running"]);
  const all = apply(one, [over(5, 1), event(6, "MapClosed", {}, { node: "fan", step: "m" })]);
  expect(statusOf(all.nodes.meet)).toBe("held");
});
