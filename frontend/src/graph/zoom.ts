import { useStore } from "@xyflow/react";

/** Below the first zoom words are too small to read, and edges lose their labels; below the second large ones are, too. */
const READABLE_ZOOM = 0.4;
const NAMED_ZOOM = 0.22;

export const useReadable = (): boolean => useStore((store) => store.transform[2] >= READABLE_ZOOM);

/** What a node shows: all its words, its name in large letters, or a block of its status colour. */
export type Detail = "words" | "name" | "block";

export const detailAt = (zoom: number): Detail => (zoom >= READABLE_ZOOM ? "words" : zoom >= NAMED_ZOOM ? "name" : "block");

export const useDetail = (): Detail => useStore((store) => detailAt(store.transform[2]));
