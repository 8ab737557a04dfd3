/** The run of this page: one store, filled by the boot data and kept current by the live stream. */
import { create, type StoreApi, type UseBoundStore } from "zustand";
import type { Boot, RunEvent, StateView } from "./events";
import type { Connection } from "./socket";
import { apply, type RunView, viewOf } from "./view";

export interface RunStore {
  view: RunView;
  state: StateView | null;
  connection: Connection;
  /** The node whose steps and log lines are looked at; null means all. */
  selected: string | null;
  receive(events: RunEvent[]): void;
  showState(state: StateView): void;
  setConnection(connection: Connection): void;
  select(node: string | null): void;
}

export type UseRun = UseBoundStore<StoreApi<RunStore>>;

export const createRunStore = (boot: Boot): UseRun =>
  create<RunStore>()((set) => ({
    view: viewOf(boot),
    state: boot.state,
    connection: "connecting",
    selected: null,
    receive: (events) => set(({ view }) => ({ view: apply(view, events) })),
    showState: (state) => set((before) => (before.state && before.state.seq > state.seq ? before : { state })),
    setConnection: (connection) => set({ connection }),
    select: (selected) => set({ selected }),
  }));
