import { AegisError } from "@aegis/protocol/errors";
import Type, { type Static } from "typebox";
import Value from "typebox/value";
import type { ImageConfig } from "../core/images.ts";

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const Words = Nullable(Type.Array(Type.String()));

const OciConfig = Type.Object({
  created: Nullable(Type.String()),
  architecture: Type.Optional(Type.String()),
  config: Nullable(
    Type.Object({
      Env: Words,
      Entrypoint: Words,
      Cmd: Words,
      User: Nullable(Type.String()),
      WorkingDir: Nullable(Type.String()),
    }),
  ),
  rootfs: Type.Object({ diff_ids: Type.Array(Type.String()) }),
});

const Descriptor = Type.Object({
  mediaType: Type.String(),
  digest: Type.String({ pattern: "^sha256:[0-9a-f]{64}$" }),
  size: Type.Integer({ minimum: 0 }),
  platform: Type.Optional(Type.Object({ architecture: Type.String(), os: Type.String() })),
  annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
});
export type Descriptor = Static<typeof Descriptor>;

const Manifest = Type.Object({ config: Descriptor, layers: Type.Array(Descriptor) });
export type Manifest = Static<typeof Manifest>;

const Index = Type.Object({ manifests: Type.Array(Descriptor) });
export type Index = Static<typeof Index>;

/** What the config blob says of the image as a whole. */
export interface ConfigBlob {
  /** RFC 3339 */
  createdAt: string;
  config: ImageConfig;
}

/** @throws AegisError `image_invalid` */
export function parseConfig(value: unknown): ConfigBlob {
  const { created, config } = parse(OciConfig, value, "config");
  return {
    createdAt: created ?? new Date(0).toISOString(),
    config: {
      env: (config?.Env ?? []).filter((entry) => entry.indexOf("=") > 0),
      entrypoint: config?.Entrypoint ?? [],
      cmd: config?.Cmd ?? [],
      user: config?.User ?? "",
      workingDir: config?.WorkingDir ?? "",
    },
  };
}

/** @throws AegisError `image_invalid` */
export const parseManifest = (value: unknown): Manifest => parse(Manifest, value, "manifest");

/** @throws AegisError `image_invalid` */
export const parseIndex = (value: unknown): Index => parse(Index, value, "index");

export const isIndex = (value: unknown): value is Index => Value.Check(Index, value);

function parse<T extends Type.TSchema>(schema: T, value: unknown, what: string): Static<T> {
  if (Value.Check(schema, value)) return value;
  const [first] = Value.Errors(schema, value);
  const where = first === undefined ? "" : ` at "${first.instancePath}": ${first.message}`;
  throw new AegisError("image_invalid", `The image's ${what} is not as the OCI specification says${where}.`);
}
