/** The page of a run: the server's text version gives way to a live one. */
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import type { Boot } from "../run/events";
import { Graph } from "../run/Graph";
import { Head } from "../run/Head";
import { Log } from "../run/Log";
import { watch } from "../run/watch";
import { StateInspector } from "../run/StateInspector";
import { createRunStore, type UseRun } from "../run/store";
import { Timeline } from "../run/Timeline";
import { readJson } from "../ui/boot";

function RunPage({ boot, useRun }: { boot: Boot; useRun: UseRun }) {
  useEffect(() => watch(boot, useRun), [boot, useRun]);
  return (
    <>
      <Head boot={boot} useRun={useRun} />
      <Graph boot={boot} useRun={useRun} />
      <Timeline useRun={useRun} />
      <Log useRun={useRun} fork={boot.fork} errors={boot.urls.errors} />
      <StateInspector boot={boot} useRun={useRun} />
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
