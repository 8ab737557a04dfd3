import type { Boot, EventData, RunEvent } from "../src/run/events";
import { reviewLoop } from "./definitions";

const T0 = Date.parse("2026-01-01T00:00:00Z");
export const at = (seconds: number): string => new Date(T0 + seconds * 1_000).toISOString();

export const emptyBoot: Boot = {
  run: {
    id: "0b0b0b0b-0000-4000-8000-000000000000",
    graph: "review",
    version: 1,
    status: "pending",
    error: "",
    actor: "local",
    business_key: "",
    labels: {},
    forked_from: null,
    created_at: at(0),
    started_at: null,
    finished_at: null,
  },
  definition: reviewLoop,
  seq: 0,
  is_paused: false,
  is_undoing: false,
  nodes: [],
  maps: [],
  subgraphs: [],
  steps: [],
  events: [],
  queued: [],
  state: { seq: 0, values: {}, conflicts: [] },
  urls: { graph: "/graphs/g/", socket: "/ws/graph/run/r", run: "/api/v1/runs/r/", state: "/api/v1/runs/r/state/", explain: "/api/v1/runs/r/explain/", subgraphs: "/runs/r/subgraphs/", items: "/runs/r/items/", queued: "/runs/r/queued/", tasks: "/tasks/", errors: null },
  reasons: [],
  control: null,
  again: null,
  fork: null,
  curl: null,
};

export const event = (seq: number, type: string, data: EventData = {}, of: { node?: string; step?: string } = {}): RunEvent => ({
  seq,
  type,
  at: at(seq),
  node: of.node ?? null,
  step: of.step ?? null,
  message: `${type} ${of.node ?? ""}`.trim(),
  data,
});

const step = (node: string, id: string) => ({ node, step: id });

/** extract, then check and evaluate twice, then the end. */
export const loopTwice: RunEvent[] = [
  event(1, "RunStarted", { scheduled: [["s1", "extract", ""]] }),
  event(2, "StepCompleted", { update: { functions: [] }, route: ["check"], scheduled: [["s2", "check", ""]] }, step("extract", "s1")),
  event(3, "StepCompleted", { route: ["evaluate"], scheduled: [["s3", "evaluate", ""]] }, step("check", "s2")),
  event(4, "StepCompleted", { route: ["check"], scheduled: [["s4", "check", ""]] }, step("evaluate", "s3")),
  event(5, "StepCompleted", { route: ["evaluate"], scheduled: [["s5", "evaluate", ""]] }, step("check", "s4")),
  event(6, "StepCompleted", { route: ["end"] }, step("evaluate", "s5")),
  event(7, "RunCompleted"),
];
