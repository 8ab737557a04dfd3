/** How large nodes and labels are, in pixels. */
import type { DrawnNode } from "./model";
import type { Size } from "./path";

const LINE = 26;
const BODY = 54;
const WIDTH = 236;
const LABEL_HEIGHT = 18;
const LABEL_LETTER = 6.8;

/** A node's size in pixels; graph.css draws it with the same numbers. */
export function sizeOf(node: DrawnNode): Size {
  if (node.kind === "start") return { width: 28, height: 28 };
  if (node.kind === "end") return { width: 64, height: 28 };
  return { width: WIDTH, height: BODY + (node.joins ? LINE : 0) + (node.splits ? LINE : 0) };
}

export function labelSize(text: string): Size {
  return { width: Math.ceil(text.length * LABEL_LETTER) + 18, height: LABEL_HEIGHT };
}
