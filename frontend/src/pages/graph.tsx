/** The page of a graph: a drawing takes the place of the outline. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import type { GraphDefinition } from "../graph/definition";
import { GraphView } from "../graph/GraphView";
import { PagesContext } from "../graph/live";
import { modelOf } from "../graph/model";
import { readJson } from "../ui/boot";

const root = document.getElementById("graph");
if (root) {
  const model = modelOf(readJson<GraphDefinition>("definition"));
  const pages = readJson<Record<string, string>>("called");
  createRoot(root).render(
    <StrictMode>
      <PagesContext value={pages}>
        <GraphView model={model} />
      </PagesContext>
    </StrictMode>,
  );
}
