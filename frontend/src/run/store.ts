/** The run of this page: one store, filled by the boot data and kept current by the live stream. */
import { create, type StoreApi, type UseBoundStore } from "zustand";
import type { GraphDefinition } from "../graph/definition";
import type { Boot, Chunk, Items, RunEvent, RunHead, StateView } from "./events";
import { addOutput, type Output, withoutOver } from "./output";
import { ROOT } from "./places";
import type { Connection } from "./socket";
import { apply, marksOf, promote, type RunView, viewOf, withHead, withItems, withQueued } from "./view";

export interface RunStore {
  view: RunView;
  state: StateView | null;
  output: Output;
  connection: Connection;
  /** The place whose graph is drawn. */
  place: string;
  /** The address of the node whose steps and log lines are looked at, with what it calls; null means all. */
  selected: string | null;
  receive(events: RunEvent[]): void;
  hear(chunks: Chunk[]): void;
  showHead(head: RunHead): void;
  showState(state: StateView): void;
  showItems(maps: Items): void;
  /** These steps are not called yet. */
  showQueued(steps: string[], now: number): void;
  /** The run was moved to a version with this definition. */
  showDefinition(definition: GraphDefinition): void;
  setConnection(connection: Connection): void;
  select(address: string | null): void;
  /** Draw what is at a place, and look at what goes on there alone. */
  open(place: string): void;
  /** Time has passed. */
  tick(now: number): void;
}

export type UseRun = UseBoundStore<StoreApi<RunStore>>;

export const createRunStore = (boot: Boot): UseRun =>
  create<RunStore>()((set) => ({
    view: viewOf(boot),
    state: boot.state,
    output: {},
    connection: "connecting",
    place: ROOT,
    selected: null,
    receive: (events) =>
      set((before) => {
        const view = apply(before.view, events);
        return { view, output: withoutOver(before.output, view.steps) };
      }),
    hear: (chunks) => set(({ output }) => ({ output: addOutput(output, chunks) })),
    showHead: (head) => set(({ view }) => ({ view: withHead(view, head) })),
    showState: (state) => set((before) => (before.state && before.state.seq > state.seq ? before : { state })),
    showItems: (maps) => set(({ view }) => ({ view: withItems(view, maps) })),
    showQueued: (steps, now) => set(({ view }) => ({ view: withQueued(view, steps, now) })),
    showDefinition: (definition) => set(({ view }) => ({ view: { ...view, ...marksOf(definition) } })),
    setConnection: (connection) => set({ connection }),
    select: (selected) => set({ selected }),
    open: (place) => set({ place, selected: place === ROOT ? null : place }),
    tick: (now) =>
      set((before) => {
        const view = promote(before.view, now);
        return view === before.view ? before : { view };
      }),
  }));
