import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AegisError } from "@aegis/protocol/errors";
import { parseIndex, type Index } from "./image-config.ts";

/** @throws AegisError `image_invalid` when the folder is not an OCI layout */
export async function readLayoutIndex(layout: string): Promise<Index> {
  try {
    return parseIndex(JSON.parse(await readFile(join(layout, "index.json"), "utf8")));
  } catch (error) {
    if (error instanceof AegisError) throw error;
    throw new AegisError("image_invalid", `${layout} is not an OCI layout: its index.json cannot be read.`, {
      cause: error,
    });
  }
}
