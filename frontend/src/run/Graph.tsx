import { useEffect, useMemo, useState } from "react";
import { GraphView } from "../graph/GraphView";
import { LiveContext } from "../graph/live";
import { modelOf } from "../graph/model";
import { Icon } from "../ui/Icon";
import type { Boot, SubgraphDrawing } from "./events";
import { liveOf } from "./live";
import { addressAt, ROOT, splitAddress } from "./places";
import type { UseRun } from "./store";

/** What is drawn at a place: null while it is fetched, "missing" if the server has it no more. */
function useDrawing(boot: Boot, useRun: UseRun, place: string): SubgraphDrawing | "missing" | null {
  const moved = useRun((store) => store.view.movedTo?.digest);
  const called = useRun((store) => store.view.subgraphs[place]?.digest);
  const digest = place === ROOT ? moved : called;
  const showDefinition = useRun((store) => store.showDefinition);
  const [known, setKnown] = useState<Record<string, SubgraphDrawing | "missing">>({});
  const [last, setLast] = useState<SubgraphDrawing>({ definition: boot.definition, page: null });
  const wanted = digest === undefined || known[digest] ? null : digest;
  useEffect(() => {
    if (wanted === null) return;
    const keep = (found: SubgraphDrawing | "missing") => setKnown((before) => ({ ...before, [wanted]: found }));
    fetch(`${boot.urls.subgraphs}${wanted}/`, { headers: { Accept: "application/json" } })
      .then(async (answer) => (answer.ok ? ((await answer.json()) as SubgraphDrawing) : "missing"))
      .then(keep, () => keep("missing"));
  }, [boot, wanted]);
  const found = digest === undefined ? undefined : known[digest];
  useEffect(() => {
    if (place !== ROOT || found === undefined || found === "missing") return;
    setLast(found);
    showDefinition(found.definition);
  }, [place, found, showDefinition]);
  // Until the version that the run was moved to is here, the one before stays.
  return place === ROOT ? (found ?? last) : (found ?? null);
}

/** The way from the run's graph to the one that is drawn. */
function Trail({ boot, useRun, page }: { boot: Boot; useRun: UseRun; page: string | null }) {
  const { place, open, view } = useRun();
  const names = place.split("/");
  const title = view.subgraphs[place]?.graph || "a computed graph";
  return (
    <nav className="trail" aria-label="Subgraph">
      <ol>
        <li>
          <button type="button" className="link" onClick={() => open(ROOT)}>
            {boot.run.graph}
          </button>
        </li>
        {names.map((name, index) => (
          <li key={index} aria-current={index === names.length - 1 ? "location" : undefined}>
            {index === names.length - 1 ? (
              name
            ) : (
              <button type="button" className="link" onClick={() => open(names.slice(0, index + 1).join("/"))}>
                {name}
              </button>
            )}
          </li>
        ))}
      </ol>
      <span className="muted small">{page ? <a href={page}>{title}</a> : title}</span>
      <button type="button" className="chip" onClick={() => open(splitAddress(place)[0])}>
        <Icon name="up" />
        Back
      </button>
    </nav>
  );
}

/** The graph of the run, or of what one of its nodes calls. */
export function Graph({ boot, useRun }: { boot: Boot; useRun: UseRun }) {
  const place = useRun((store) => store.place);
  const selected = useRun((store) => store.selected);
  const select = useRun((store) => store.select);
  const drawing = useDrawing(boot, useRun, place);
  const version = useRun((store) => store.view.movedTo?.version ?? "");
  const definition = drawing && drawing !== "missing" ? drawing.definition : null;
  const model = useMemo(() => definition && modelOf(definition), [definition]);
  const live = useMemo(() => liveOf(useRun, place), [useRun, place]);
  const [around, node] = selected === null ? [null, null] : splitAddress(selected);
  const choose = (id: string | null) => select(id === null ? place || null : addressAt(place, id));
  return (
    <section className="card run-graph" aria-label="Graph">
      {place !== ROOT && <Trail boot={boot} useRun={useRun} page={drawing && drawing !== "missing" ? drawing.page : null} />}
      <div className="canvas">
        {model && (
          <LiveContext value={live}>
            <GraphView key={`${place} ${version}`} model={model} selected={around === place ? node : null} onSelect={choose} />
          </LiveContext>
        )}
        {drawing === null && <p className="graph-note">Fetching the graph…</p>}
        {drawing === "missing" && <p className="graph-note">The definition of this graph is no longer there.</p>}
      </div>
    </section>
  );
}
