/**
 * Where the steps of a run are drawn: at the place of the subgraph they belong to. The same as runs/places.py.
 *
 * A place names the nodes that call, from the outermost on, without the items of maps between them: what `review` calls
 * for each item of a map is drawn once. The run's own graph is the empty place. A node's address is its place and its
 * name, and the place of what it calls.
 */

export const ROOT = "";

export const addressAt = (place: string, node: string): string => (place === ROOT ? node : `${place}/${node}`);

/** The place of what an address names, and its name there. */
export function splitAddress(address: string): [place: string, node: string] {
  const slash = address.lastIndexOf("/");
  return slash < 0 ? [ROOT, address] : [address.slice(0, slash), address.slice(slash + 1)];
}

export const isInside = (address: string, place: string): boolean => place === ROOT || address.startsWith(`${place}/`);

/** A move from one address to another, as a key. */
export const move = (source: string, target: string): string => `${source} ${target}`;

/** The places, by the `path` of a subgraph's steps outside its maps. */
export type Places = Readonly<Record<string, string>>;

export const below = (path: string, node: string): string => (path === "" ? node : `${path}.${node}`);

export function addressOf(places: Places, path: string, node: string): string {
  // What follows on the path of a subgraph are items of its maps. Names of nodes may have dots.
  let known = path;
  while (known !== "" && places[known] === undefined) known = known.slice(0, Math.max(known.lastIndexOf("."), 0));
  return addressAt(places[known] ?? ROOT, node);
}
