import { expect, test } from "vitest";
import { addOutput, MOST_LETTERS, withoutOver } from "../src/run/output";
import { apply, viewOf } from "../src/run/view";
import { emptyBoot, loopTwice } from "./boot";

const chunk = (number: number, text: string) => ({ step: "s1", node: "extract", number, text });

test("chunks are put together, and those that come twice count once", () => {
  const once = addOutput({}, [chunk(0, "to"), chunk(1, "ken")]);
  expect(addOutput(once, [chunk(0, "to"), chunk(1, "ken"), chunk(2, "s")]).s1?.text).toBe("tokens");
});

test("only the last of a long output is kept", () => {
  const text = addOutput({}, [chunk(0, "x".repeat(MOST_LETTERS)), chunk(1, "end")]).s1?.text ?? "";
  expect([text.length, text.endsWith("end")]).toEqual([MOST_LETTERS, true]);
});

test("output goes when its step is over", () => {
  const output = addOutput({}, [chunk(0, "text")]);
  const running = apply(viewOf(emptyBoot), loopTwice.slice(0, 1));
  expect(withoutOver(output, running.steps)).toBe(output);
  expect(withoutOver(output, apply(running, loopTwice.slice(1, 2)).steps)).toEqual({});
});
