import { expect, test } from "vitest";
import { detailAt } from "../src/graph/zoom";

test("from farther away a node shows its name alone, then a block", () => {
  expect([1, 0.4, 0.39, 0.22, 0.21, 0.02].map(detailAt)).toEqual(["words", "words", "name", "name", "block", "block"]);
});
