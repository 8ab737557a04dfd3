import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Django's STATIC_URL: the built files are served as they are, their names already carry a hash.
  base: "/static/",
  plugins: [react()],
  build: {
    outDir: "dist",
    assetsDir: "frontend",
    manifest: "manifest.json",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    rollupOptions: { input: ["src/pages/run.tsx", "src/pages/graph.tsx"] },
  },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"] },
});
