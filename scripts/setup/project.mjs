import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const NODE = join(ROOT, "node_modules/node/bin/node");
export const BUN = join(ROOT, "node_modules/.bin/bun");
export const GUEST_DIR = join(ROOT, "dist/guest");
export const VM_DIR = join(ROOT, "dist/vm");
