/** What Django's `json_script` wrote into the page. */
export const readJson = <T>(id: string): T => JSON.parse(document.getElementById(id)?.textContent ?? "null") as T;
