import { readFileSync } from "node:fs";
import type { Versions } from "./image/recipe.ts";

const OPENCLAW_VERSION = "2026.9.6";
const PROJECT = new URL("../../../package.json", import.meta.url);

/** The versions in the image: OpenClaw pinned here, Node the same as the project's own. */
export function clawVersions(): Versions {
  const project = JSON.parse(readFileSync(PROJECT, "utf8")) as { dependencies: { node: string } };
  return { nodeVersion: project.dependencies.node, openclawVersion: OPENCLAW_VERSION };
}
