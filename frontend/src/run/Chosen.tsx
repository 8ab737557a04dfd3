import { Icon } from "../ui/Icon";
import type { UseRun } from "./store";

/** The node that the log is narrowed to, and the way back to all. */
export function Chosen({ useRun }: { useRun: UseRun }) {
  const selected = useRun((store) => store.selected);
  const select = useRun((store) => store.select);
  if (selected === null) return null;
  return (
    <button type="button" className="chip" onClick={() => select(null)} aria-label={`Only ${selected}; show all nodes`}>
      {selected}
      <Icon name="close" />
    </button>
  );
}
