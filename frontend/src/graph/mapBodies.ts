/** Which nodes run once for each item of a map, and where the items meet. */
import { END, type GraphDefinition, listOf, type MapRoute, type NodeDefinition } from "./definition";

type Ways = (name: string) => string[];

const mapOf = (node: NodeDefinition | undefined): MapRoute | null => {
  const route = node?.next;
  // Arrays have a `map` too.
  return route && typeof route === "object" && !Array.isArray(route) && "map" in route ? route : null;
};

function reachable(from: string[], ways: Ways, without?: string): Set<string> {
  const seen = new Set(from.filter((name) => name !== without));
  for (const name of seen) {
    if (name === END) continue;
    for (const target of ways(name)) if (target !== without) seen.add(target);
  }
  return seen;
}

/** The first node after `from` that every way from there to the end passes: the immediate post-dominator. */
function meetingPoint(from: string[], ways: Ways): string {
  for (const candidate of reachable(from, ways)) {
    if (from.includes(candidate) || candidate === END) continue;
    if (!reachable(from, ways, candidate).has(END)) return candidate;
  }
  return END;
}

/**
 * The nodes that only a map's items reach, each with the node at which its items meet.
 *
 * `ways` gives the targets of a node. Seen from outside, a map goes from its node straight to where its items meet.
 */
export function mapBodies(definition: GraphDefinition, ways: Ways): Map<string, string> {
  const meets = new Map<string, string>();
  const outside: Ways = (name) => {
    const route = mapOf(definition.nodes[name]);
    if (!route) return ways(name);
    if (!meets.has(name)) meets.set(name, route.join ?? meetingPoint(listOf(route.to), ways));
    return [meets.get(name) ?? END];
  };
  const outer = reachable([definition.start_node], outside);
  const bodies = new Map<string, string>();
  for (const [name, node] of Object.entries(definition.nodes)) {
    const route = mapOf(node);
    if (!route) continue;
    const [gather = END] = outside(name);
    for (const member of reachable(listOf(route.to), outside, gather)) {
      if (!outer.has(member) && !bodies.has(member)) bodies.set(member, gather);
    }
  }
  return bodies;
}
