import { act, cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { Head } from "../src/run/Head";
import { Log } from "../src/run/Log";
import { StateInspector } from "../src/run/StateInspector";
import { createRunStore } from "../src/run/store";
import { Timeline } from "../src/run/Timeline";
import { at, emptyBoot, event, loopTwice } from "./boot";

afterEach(cleanup);

const storeAfter = (count: number, boot = emptyBoot) => {
  const useRun = createRunStore(boot);
  useRun.getState().receive(loopTwice.slice(0, count));
  return useRun;
};
const lines = () => [...screen.getByTestId("log").querySelectorAll("li > span")].map((line) => line.textContent);

test("the log shows what comes in while it is looked at", () => {
  const useRun = storeAfter(1);
  render(<Log useRun={useRun} />);
  expect(lines()).toEqual(["RunStarted", "Scheduled node: extract"]);
  act(() => useRun.getState().receive(loopTwice));
  expect(lines().at(-1)).toBe("RunCompleted");
});

test("the log can be narrowed to a node, and widened again", () => {
  const useRun = storeAfter(7);
  render(<Log useRun={useRun} />);
  act(() => useRun.getState().select("extract"));
  expect(lines()).toEqual(["Scheduled node: extract", "StepCompleted extract"]);
  fireEvent.click(screen.getByRole("button", { name: "Only extract; show all nodes" }));
  expect(lines().length).toBe(12);
});

test("what a running tool streams stands at the end of the log until its step is over", () => {
  const useRun = storeAfter(1);
  useRun.getState().hear([{ step: "s1", node: "extract", number: 0, text: "half a tok" }]);
  render(<Log useRun={useRun} />);
  expect(lines().at(-1)).toBe("half a tok");
  act(() => useRun.getState().receive(loopTwice.slice(0, 2)));
  expect(lines()).not.toContain("half a tok");
});

test("the timeline has a row for each node with a bar for each of its steps", () => {
  const useRun = storeAfter(7);
  render(<Timeline useRun={useRun} />);
  const rows = within(screen.getByTestId("timeline")).getAllByRole("listitem");
  expect(rows.map((row) => row.querySelector("button")?.textContent)).toEqual(["extract", "check", "evaluate"]);
  expect(rows.map((row) => row.querySelectorAll(".timeline-bar").length)).toEqual([1, 2, 2]);
});

test("steps that are scheduled only are pale, share a lane and add nothing to the sum", () => {
  const useRun = storeAfter(1);
  const scheduled: [string, string, string][] = [["w0", "work", "m[0]"], ["w1", "work", "m[1]"], ["w2", "work", "m[2]"]];
  useRun.getState().receive([event(2, "StepCompleted", { items: [0, 1, 2], scheduled }, { node: "extract", step: "s1" })]);
  useRun.getState().showQueued(["w0", "w1", "w2"], Date.parse(at(2)));
  render(<Timeline useRun={useRun} />);
  const bars = () => [...document.querySelectorAll<HTMLElement>(".timeline-bar")].slice(1);
  const sum = () => [...document.querySelectorAll(".timeline-sum")].at(-1)?.textContent;
  expect(bars().map((bar) => bar.dataset.status)).toEqual(["queued", "queued", "queued"]);
  expect(sum()).toMatch(/scheduled$/);
  act(() => useRun.getState().showQueued(["w1", "w2"], Date.now()));
  expect(bars().map((bar) => bar.dataset.status)).toEqual(["running", "queued", "queued"]);
  expect(new Set(bars().map((bar) => bar.style.top)).size).toBe(2);
  expect(sum()).toMatch(/ m?s$/);
});

test("what a node calls follows it in the timeline, and is alone when it is opened", () => {
  const useRun = storeAfter(1);
  const scheduled: [string, string, string][] = [["c1", "read", "extract"], ["s2", "check", ""]];
  useRun.getState().receive([event(2, "ChildStarted", { digest: "d", scheduled }, { node: "extract", step: "s1" })]);
  useRun.getState().receive([event(3, "StepCompleted", { path: "extract", scheduled: [["c2", "sum", "extract"]] }, { node: "read", step: "c1" })]);
  render(<Timeline useRun={useRun} />);
  const names = () => [...screen.getByTestId("timeline").querySelectorAll("button")].map((button) => button.title);
  expect(names()).toEqual(["extract", "extract › read", "extract › sum", "check"]);
  act(() => useRun.getState().open("extract"));
  expect(names()).toEqual(["extract › read", "extract › sum"]);
  act(() => useRun.getState().open(""));
  expect([names().length, useRun.getState().selected]).toEqual([4, null]);
});

test("the log of a node that calls has what it calls", () => {
  const useRun = storeAfter(1);
  useRun.getState().receive([event(2, "ChildStarted", { scheduled: [["c1", "read", "extract"]] }, { node: "extract", step: "s1" })]);
  useRun.getState().receive([event(3, "RunPaused")]);
  render(<Log useRun={useRun} />);
  act(() => useRun.getState().select("extract"));
  expect(lines()).toEqual(["Scheduled node: extract", "ChildStarted extract", "Scheduled node: read (extract)"]);
});

test("a row of the timeline selects its node, and again all", () => {
  const useRun = storeAfter(7);
  render(<Timeline useRun={useRun} />);
  const button = screen.getByRole("button", { name: "check" });
  fireEvent.click(button);
  expect([useRun.getState().selected, button.getAttribute("aria-pressed")]).toEqual(["check", "true"]);
  fireEvent.click(button);
  expect(useRun.getState().selected).toBe(null);
});

test("a run without steps says so", () => {
  render(<Timeline useRun={storeAfter(0)} />);
  expect(screen.getByText("No step has started yet.")).toBeTruthy();
});

test("the state marks what is new and what parallel branches disagree on", () => {
  const useRun = storeAfter(2);
  useRun.getState().showState({ seq: 2, values: { functions: [1], name: "x" }, conflicts: ["name"] });
  render(<StateInspector boot={emptyBoot} useRun={useRun} />);
  const [functions, name] = screen.getByTestId("state").children;
  expect(functions?.textContent).toContain("new");
  expect(name?.textContent).toBe('name: "x"conflict');
});

test("an older state never replaces a newer one", () => {
  const useRun = storeAfter(2);
  useRun.getState().showState({ seq: 5, values: { n: 5 }, conflicts: [] });
  useRun.getState().showState({ seq: 4, values: { n: 4 }, conflicts: [] });
  expect(useRun.getState().state?.values).toEqual({ n: 5 });
});

test("a list of the state opens to its items, and a long one bit by bit", () => {
  const useRun = storeAfter(1);
  useRun.getState().showState({ seq: 1, values: { many: Array.from({ length: 120 }, (_, i) => i) }, conflicts: [] });
  render(<StateInspector boot={emptyBoot} useRun={useRun} />);
  const details = screen.getByTestId("state").querySelector("details") as HTMLDetailsElement;
  expect(details.querySelectorAll("li").length).toBe(0);
  details.open = true;
  fireEvent(details, new Event("toggle"));
  expect(details.querySelectorAll("li").length).toBe(51);
  fireEvent.click(screen.getByRole("button", { name: "Show more of 120" }));
  expect(details.querySelectorAll("li").length).toBe(120);
});

test("a run can be forked by who may from each event, and not from the lines of starts", () => {
  const fork = { url: "/runs/r/fork/", csrf: "token" };
  const useRun = storeAfter(2);
  const { rerender } = render(<Log useRun={useRun} />);
  expect(screen.queryAllByRole("button", { name: "Fork from here" })).toEqual([]);
  rerender(<Log useRun={useRun} fork={fork} />);
  const buttons = screen.getAllByRole<HTMLButtonElement>("button", { name: "Fork from here" });
  expect(buttons.map((button) => [button.name, button.value])).toEqual([
    ["seq", "1"],
    ["seq", "2"],
  ]);
  const form = buttons[0]?.form as HTMLFormElement;
  expect([form.getAttribute("action"), form.method, new FormData(form).get("csrfmiddlewaretoken")]).toEqual([
    "/runs/r/fork/",
    "post",
    "token",
  ]);
});

const VERBS = ["pause", "resume", "step", "retry", "cancel"] as const;
const control = {
  urls: Object.fromEntries(VERBS.map((verb) => [verb, `/runs/r/${verb}/`])) as Record<(typeof VERBS)[number], string>,
  csrf: "token",
};

const actions = (container: HTMLElement): (string | null)[] =>
  [...container.querySelectorAll("form")].map((form) => form.getAttribute("action"));

test("the verbs follow the status of the run", () => {
  const boot = { ...emptyBoot, control };
  const useRun = storeAfter(1, boot);
  const { container } = render(<Head boot={boot} useRun={useRun} />);
  expect(actions(container)).toEqual(["/runs/r/pause/", "/runs/r/cancel/"]);
  act(() => useRun.getState().receive([event(2, "RunPaused")]));
  expect(actions(container)).toEqual(["/runs/r/resume/", ...Array(3).fill("/runs/r/step/"), "/runs/r/cancel/"]);
  expect([...container.querySelectorAll("[name=mode]")].map((button) => button.getAttribute("value"))).toEqual(["into", "over", "out"]);
  act(() => useRun.getState().receive([event(3, "RunResumed")]));
  expect(actions(container)).toEqual(["/runs/r/pause/", "/runs/r/cancel/"]);
  act(() => useRun.getState().receive([event(4, "RunFailed")]));
  expect(actions(container)).toEqual(["/runs/r/retry/"]);
});

test("a run that has undone what it did cannot be tried again", () => {
  const boot = { ...emptyBoot, control };
  const useRun = storeAfter(1, boot);
  const { container } = render(<Head boot={boot} useRun={useRun} />);
  act(() => useRun.getState().receive([event(2, "CompensationStarted"), event(3, "RunFailed")]));
  expect(actions(container)).toEqual([]);
});

test("of several failures each is told, of one only what the run says", () => {
  const failure = (node: string) => ({ because: "failed", message: `Node "${node}" failed: ValueError.`, data: {} });
  const shown = (...nodes: string[]) => {
    const boot = { ...emptyBoot, run: { ...emptyBoot.run, status: "failed" as const }, reasons: nodes.map(failure) };
    render(<Head boot={boot} useRun={createRunStore(boot)} />);
    const said = screen.queryByLabelText("Why the run is not moving")?.querySelectorAll("li").length ?? 0;
    cleanup();
    return said;
  };
  expect([shown("a"), shown("a", "b")]).toEqual([0, 2]);
});

test("what a tool says is marked as that, whatever its tone", () => {
  const useRun = storeAfter(1);
  useRun.getState().receive([event(2, "LogWritten", { level: "warning" }, { node: "extract", step: "s1" })]);
  render(<Log useRun={useRun} />);
  const line = screen.getByTestId("log").querySelector("li:last-child") as HTMLElement;
  expect([line.dataset.tone, line.dataset.said]).toEqual(["warn", "true"]);
});

test("a run that does not move says why, until something happens", () => {
  const reasons = [{ because: "signal", message: 'Node "w" waits for the signal "paid".', data: {} }];
  const boot = { ...emptyBoot, reasons };
  const useRun = storeAfter(0, boot);
  render(<Head boot={boot} useRun={useRun} />);
  expect(screen.getByLabelText("Why the run is not moving").textContent).toBe(reasons[0]?.message);
  act(() => useRun.getState().receive(loopTwice.slice(0, 1)));
  expect(screen.queryByLabelText("Why the run is not moving")).toBe(null);
});

test("a run can be cancelled by who may, while it goes on", () => {
  const boot = { ...emptyBoot, control };
  const useRun = storeAfter(1, boot);
  const { container } = render(<Head boot={boot} useRun={useRun} />);
  const form = container.querySelector(".popup form") as HTMLFormElement;
  expect([form.getAttribute("action"), form.method, new FormData(form).get("csrfmiddlewaretoken")]).toEqual([
    "/runs/r/cancel/",
    "post",
    "token",
  ]);
  act(() => useRun.getState().receive(loopTwice));
  expect(container.querySelector("form")).toBe(null);
  expect(screen.getByTestId("run-status").textContent).toBe("completed");
});

test("a run can be started again by who may, and copied as a command", async () => {
  const boot = { ...emptyBoot, again: { url: "/runs/r/again/", csrf: "token" }, curl: "curl -X POST …" };
  const { container } = render(<Head boot={boot} useRun={storeAfter(1, boot)} />);
  expect((container.querySelector("form") as HTMLFormElement).getAttribute("action")).toBe("/runs/r/again/");
  const written: string[] = [];
  const writeText = vi.spyOn(navigator.clipboard, "writeText");
  writeText.mockImplementationOnce(async (text) => void written.push(text));
  fireEvent.click(screen.getByRole("button", { name: "Copy as curl" }));
  await screen.findByRole("button", { name: "Copied" });
  expect(written).toEqual(["curl -X POST …"]);
});

test("a command that the browser does not let onto the clipboard is shown", async () => {
  const boot = { ...emptyBoot, curl: "curl -X POST …" };
  render(<Head boot={boot} useRun={storeAfter(1, boot)} />);
  vi.spyOn(navigator.clipboard, "writeText").mockRejectedValueOnce(new Error("not allowed"));
  fireEvent.click(screen.getByRole("button", { name: "Copy as curl" }));
  await screen.findByText("curl -X POST …");
});

test("the state of the subgraph whose drawing is open is shown, and of the run again", async () => {
  const fetched = vi.fn(async () => new Response(JSON.stringify({ seq: 2, values: { inner: 7 }, conflicts: [] })));
  vi.stubGlobal("fetch", fetched);
  const useRun = storeAfter(1);
  useRun.getState().showState({ seq: 1, values: { outer: 1 }, conflicts: [] });
  useRun.getState().receive([event(2, "ChildStarted", { digest: "d", scheduled: [["c1", "read", "extract"]] }, { node: "extract", step: "s1" })]);
  render(<StateInspector boot={emptyBoot} useRun={useRun} />);
  act(() => useRun.getState().open("extract"));
  expect(await screen.findByText("inner:")).toBeTruthy();
  expect(screen.getByRole("heading").textContent).toBe("State of extract");
  expect(fetched).toHaveBeenCalledWith("/api/v1/runs/r/state/?within=s1", expect.anything());
  act(() => useRun.getState().open(""));
  expect(screen.getByTestId("state").textContent).toBe("outer: 1");
  vi.unstubAllGlobals();
});

test("what a person is asked leads to the task", () => {
  const boot = { ...emptyBoot, reasons: [{ because: "person", message: "It waits for a person's answer.", data: { task: "t-1" } }] };
  render(<Head boot={boot} useRun={storeAfter(0, boot)} />);
  expect(screen.getByRole("link", { name: "Open the task" }).getAttribute("href")).toBe("/tasks/t-1/");
});

test("the log leads to the tracebacks once an attempt has failed, whoever may see them", () => {
  const useRun = storeAfter(1);
  const { rerender } = render(<Log useRun={useRun} errors="/runs/r/errors/" />);
  expect(screen.queryByText("Tracebacks")).toBe(null);
  const error = { type: "E", message: "no" };
  act(() => useRun.getState().receive([event(2, "AttemptFailed", { error }, { node: "extract", step: "s1" })]));
  expect(screen.getByText("Tracebacks").getAttribute("href")).toBe("/runs/r/errors/");
  rerender(<Log useRun={useRun} />);
  expect(screen.queryByText("Tracebacks")).toBe(null);
});
