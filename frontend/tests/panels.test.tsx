import { act, cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { Head } from "../src/run/Head";
import { Log } from "../src/run/Log";
import { StateInspector } from "../src/run/StateInspector";
import { createRunStore } from "../src/run/store";
import { Timeline } from "../src/run/Timeline";
import { emptyBoot, loopTwice } from "./boot";

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
  expect(lines()).toEqual(["RunStarted", "Started node: extract"]);
  act(() => useRun.getState().receive(loopTwice));
  expect(lines().at(-1)).toBe("RunCompleted");
});

test("the log can be narrowed to a node, and widened again", () => {
  const useRun = storeAfter(7);
  render(<Log useRun={useRun} />);
  act(() => useRun.getState().select("extract"));
  expect(lines()).toEqual(["Started node: extract", "StepCompleted extract"]);
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
  render(<StateInspector useRun={useRun} />);
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
  render(<StateInspector useRun={useRun} />);
  const details = screen.getByTestId("state").querySelector("details") as HTMLDetailsElement;
  expect(details.querySelectorAll("li").length).toBe(0);
  details.open = true;
  fireEvent(details, new Event("toggle"));
  expect(details.querySelectorAll("li").length).toBe(51);
  fireEvent.click(screen.getByRole("button", { name: "Show more of 120" }));
  expect(details.querySelectorAll("li").length).toBe(120);
});

test("a run can be cancelled by who may, while it goes on", () => {
  const boot = { ...emptyBoot, cancel: { url: "/runs/r/cancel/", csrf: "token" } };
  const useRun = storeAfter(1, boot);
  const { container } = render(<Head boot={boot} useRun={useRun} />);
  const form = container.querySelector("form") as HTMLFormElement;
  expect([form.getAttribute("action"), form.method, new FormData(form).get("csrfmiddlewaretoken")]).toEqual([
    "/runs/r/cancel/",
    "post",
    "token",
  ]);
  act(() => useRun.getState().receive(loopTwice));
  expect(container.querySelector("form")).toBe(null);
  expect(screen.getByTestId("run-status").textContent).toBe("completed");
});
