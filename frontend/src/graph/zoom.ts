import { useStore } from "@xyflow/react";

/** Below this zoom words are too small to read: nodes become blocks of their status colour, edges lose their labels. */
const READABLE_ZOOM = 0.4;

export const useReadable = (): boolean => useStore((store) => store.transform[2] >= READABLE_ZOOM);
