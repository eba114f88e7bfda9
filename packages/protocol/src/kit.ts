import Type, { type Static } from "typebox";
import { Check } from "typebox/value";
import { AegisError } from "./errors.ts";
import { HANDLE_PATTERN } from "./name-patterns.ts";

/** One thing that a kit can be asked to do, by `aegis kit <verb> <kit>`. */
export const KitCommand = Type.Object(
  {
    summary: Type.String({ minLength: 1 }),
    /** a program for Node, relative to the kit's folder */
    entry: Type.String({ minLength: 1 }),
    /** before what the person gives */
    args: Type.Optional(Type.Array(Type.String())),
    /** run through sudo where the person is not root */
    root: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type KitCommand = Static<typeof KitCommand>;

/** `kit.json` in the folder of a kit. */
export const KitManifest = Type.Object(
  {
    name: Type.String({ pattern: HANDLE_PATTERN, maxLength: 64 }),
    summary: Type.String({ minLength: 1 }),
    /** handles of the instances that the kit keeps, the first one being what its people talk to */
    instances: Type.Array(Type.String({ pattern: HANDLE_PATTERN, maxLength: 64 })),
    commands: Type.Record(Type.String(), KitCommand),
  },
  { additionalProperties: false },
);
export type KitManifest = Static<typeof KitManifest>;

/** A kit as `GET /v1/kits` shows it. */
export const KitView = Type.Object({
  name: Type.String(),
  summary: Type.String(),
  instances: Type.Array(Type.String()),
  /** by verb, what it does */
  commands: Type.Record(Type.String(), Type.String()),
});
export type KitView = Static<typeof KitView>;

export const KIT_MANIFEST = "kit.json";

/** @throws AegisError `invalid_request` that names the file */
export function parseKitManifest(text: string, file: string): KitManifest {
  const manifest = parsed(text);
  if (Check(KitManifest, manifest)) return manifest;
  throw new AegisError("invalid_request", `${file} is no manifest of a kit: install the kit again.`);
}

export const kitView = ({ name, summary, instances, commands }: KitManifest): KitView => ({
  name,
  summary,
  instances,
  commands: Object.fromEntries(Object.entries(commands).map(([verb, command]) => [verb, command.summary])),
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
