import { readFileSync } from "node:fs";
import type { Versions } from "./image/recipe.ts";

/** the one that this release of the kit was tested with; an installed bot keeps its own until it is upgraded */
export const OPENCLAW_VERSION = "2026.9.6";
const PROJECT = new URL("../../../package.json", import.meta.url);

/** The versions in the image: Node is the same as the project's own. */
export function clawVersions(openclawVersion: string): Versions {
  const project = JSON.parse(readFileSync(PROJECT, "utf8")) as { dependencies: { node: string } };
  return { nodeVersion: project.dependencies.node, openclawVersion };
}
