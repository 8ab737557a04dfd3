/** The page of a run: the server's text version gives way to a live one. */
import { StrictMode, useEffect, useMemo } from "react";
import { createRoot } from "react-dom/client";
import { GraphView } from "../graph/GraphView";
import { LiveContext } from "../graph/live";
import { modelOf } from "../graph/model";
import type { Boot } from "../run/events";
import { Head } from "../run/Head";
import { liveOf } from "../run/live";
import { Log } from "../run/Log";
import { watch } from "../run/watch";
import { StateInspector } from "../run/StateInspector";
import { createRunStore, type UseRun } from "../run/store";
import { Timeline } from "../run/Timeline";
import { readJson } from "../ui/boot";

function RunPage({ boot, useRun }: { boot: Boot; useRun: UseRun }) {
  const model = useMemo(() => modelOf(boot.definition), [boot]);
  const live = useMemo(() => liveOf(useRun), [useRun]);
  const selected = useRun((store) => store.selected);
  const select = useRun((store) => store.select);
  useEffect(() => watch(boot, useRun), [boot, useRun]);
  return (
    <>
      <Head boot={boot} useRun={useRun} />
      <section className="card run-graph" aria-label="Graph">
        <div className="canvas">
          <LiveContext value={live}>
            <GraphView model={model} selected={selected} onSelect={select} />
          </LiveContext>
        </div>
      </section>
      <Timeline useRun={useRun} />
      <Log useRun={useRun} />
      <StateInspector useRun={useRun} />
    </>
  );
}

const root = document.getElementById("run");
if (root) {
  const boot = readJson<Boot>("boot");
  createRoot(root).render(
    <StrictMode>
      <RunPage boot={boot} useRun={createRunStore(boot)} />
    </StrictMode>,
  );
}
