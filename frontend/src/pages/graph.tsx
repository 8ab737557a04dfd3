/** The page of a graph: a drawing takes the place of the outline. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import type { GraphDefinition } from "../graph/definition";
import { GraphView } from "../graph/GraphView";
import { modelOf } from "../graph/model";
import { readJson } from "../ui/boot";

const root = document.getElementById("graph");
if (root) {
  const model = modelOf(readJson<GraphDefinition>("definition"));
  createRoot(root).render(
    <StrictMode>
      <GraphView model={model} />
    </StrictMode>,
  );
}
