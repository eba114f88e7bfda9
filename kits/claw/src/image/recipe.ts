import { createHash } from "node:crypto";

/** Raise it when a step changes what it makes, so that cached layers of the old recipe are not used. */
const RECIPE_VERSION = 1;

export const NPM_VERSION = "11.21.2";
export const REGISTRY_BASE = "docker.io/library/node:24-bookworm-slim";
export const FALLBACK_SUITE = "bookworm";

/** What an agent and OpenClaw's sandbox backend expect to find beside node. */
export const DEBIAN_PACKAGES = ["python3", "git", "curl", "wget", "ca-certificates", "procps"];

/** Every file of a layer that we pack carries this time, so that the same content has the same digest. */
export const FILE_TIME = Date.UTC(2026, 0, 1) / 1000;

export const IMAGE_ENV = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];

export interface Versions {
  nodeVersion: string;
  openclawVersion: string;
}

/** A name for everything that goes into one layer. */
export const recipeKey = (step: string, inputs: unknown): string =>
  createHash("sha256")
    .update(JSON.stringify([RECIPE_VERSION, step, process.arch, inputs]))
    .digest("hex")
    .slice(0, 24);

export const runtimeKey = (versions: Versions): string =>
  recipeKey("runtime", [versions.nodeVersion, versions.openclawVersion, NPM_VERSION]);
