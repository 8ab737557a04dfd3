/** The run of this page: one store, filled by the boot data and kept current by the live stream. */
import { create } from "zustand";
import type { Boot, RunEvent, StateView } from "./events";
import type { Connection } from "./socket";
import { apply, type RunView, viewOf } from "./view";

export interface RunStore {
  view: RunView;
  state: StateView;
  connection: Connection;
  /** The node whose steps and log lines are looked at; null means all. */
  selected: string | null;
  receive(events: RunEvent[]): void;
  showState(state: StateView): void;
  setConnection(connection: Connection): void;
  select(node: string | null): void;
}

export const readBoot = <T>(id: string): T => JSON.parse(document.getElementById(id)?.textContent ?? "null") as T;

export const createRunStore = (boot: Boot) =>
  create<RunStore>()((set) => ({
    view: viewOf(boot),
    state: boot.state,
    connection: "connecting",
    selected: null,
    receive: (events) => set(({ view }) => ({ view: apply(view, events) })),
    showState: (state) => set((before) => (state.seq >= before.state.seq ? { state } : before)),
    setConnection: (connection) => set({ connection }),
    select: (selected) => set({ selected }),
  }));
