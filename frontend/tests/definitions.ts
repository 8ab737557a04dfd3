import type { GraphDefinition } from "../src/graph/definition";

/**
 * extract → check → evaluate → end
 *             ↑________|
 */
export const reviewLoop: GraphDefinition = {
  name: "review",
  start_node: "extract",
  nodes: {
    check: { tool: "check_complexity", next: "evaluate" },
    evaluate: {
      tool: "evaluate_quality",
      next: { condition: "quality_score >= 7", if_true: "end", if_false: "check" },
    },
    extract: { tool: "extract_functions", next: "check" },
  },
};

/**
 * start → left ──→ meet → end
 *      ↘ right ──↗
 */
export const diamond: GraphDefinition = {
  name: "diamond",
  start_node: "start",
  nodes: {
    start: { tool: "echo", next: ["left", "right"] },
    left: { tool: "echo", next: "meet" },
    right: { tool: "echo", next: "meet" },
    meet: { tool: "echo", join: "all" },
  },
};

/**
 * split ⇉ work → polish ⇉ gather → end     (one work and one polish for each item)
 */
export const mapped: GraphDefinition = {
  name: "mapped",
  start_node: "split",
  nodes: {
    split: { tool: "split", next: { map: "= items", as: "item", to: "work", join: "gather" } },
    work: { tool: "work", next: "polish" },
    polish: { tool: "polish", next: "end" },
    gather: { tool: "sum" },
  },
};
