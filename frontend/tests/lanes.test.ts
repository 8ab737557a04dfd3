import { expect, test } from "vitest";
import { lanesOf, MOST_LANES } from "../src/run/lanes";

const span = (startedAt: number, finishedAt: number | null) => ({ startedAt, finishedAt });

test("steps one after the other share a lane", () => {
  expect(lanesOf([span(0, 10), span(10, 20), span(25, 30)], 40)).toEqual([0, 0, 0]);
});

test("a millisecond of overlap comes from rounding", () => {
  expect(lanesOf([span(0, 10), span(9, 11), span(10, 20)], 40)).toEqual([0, 0, 0]);
});

test("steps at the same time lie under each other, and a free lane is used again", () => {
  expect(lanesOf([span(0, 10), span(5, 20), span(12, 15)], 40)).toEqual([0, 1, 0]);
});

test("a step that goes on keeps its lane until now", () => {
  expect(lanesOf([span(0, null), span(30, null)], 40)).toEqual([0, 1]);
});

test("there are never more lanes than fit", () => {
  const lanes = lanesOf(Array.from({ length: 50 }, (_, at) => span(at, 1_000)), 1_000);
  expect(Math.max(...lanes)).toBe(MOST_LANES - 1);
});
