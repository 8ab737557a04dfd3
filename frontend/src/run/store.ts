/** The run of this page: one store, filled by the boot data and kept current by the live stream. */
import { create, type StoreApi, type UseBoundStore } from "zustand";
import type { Boot, Chunk, RunEvent, RunHead, StateView } from "./events";
import type { Connection } from "./socket";
import { addOutput, type Output, withoutOver } from "./output";
import { apply, type RunView, viewOf, withHead } from "./view";

export interface RunStore {
  view: RunView;
  state: StateView | null;
  output: Output;
  connection: Connection;
  /** The node whose steps and log lines are looked at; null means all. */
  selected: string | null;
  receive(events: RunEvent[]): void;
  hear(chunks: Chunk[]): void;
  showHead(head: RunHead): void;
  showState(state: StateView): void;
  setConnection(connection: Connection): void;
  select(node: string | null): void;
}

export type UseRun = UseBoundStore<StoreApi<RunStore>>;

export const createRunStore = (boot: Boot): UseRun =>
  create<RunStore>()((set) => ({
    view: viewOf(boot),
    state: boot.state,
    output: {},
    connection: "connecting",
    selected: null,
    receive: (events) =>
      set((before) => {
        const view = apply(before.view, events);
        return { view, output: withoutOver(before.output, view.steps) };
      }),
    hear: (chunks) => set(({ output }) => ({ output: addOutput(output, chunks) })),
    showHead: (head) => set(({ view }) => ({ view: withHead(view, head) })),
    showState: (state) => set((before) => (before.state && before.state.seq > state.seq ? before : { state })),
    setConnection: (connection) => set({ connection }),
    select: (selected) => set({ selected }),
  }));
