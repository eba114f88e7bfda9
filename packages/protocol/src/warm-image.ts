import Type, { type Static } from "typebox";
import { CreateInstance } from "./instance.ts";

const fields = CreateInstance.properties;

/** Body of `POST /v1/images/warm`: what new instances are to be of that start fast. What is left out is as for a new instance. */
export const WarmImage = Type.Object(
  {
    ref: Type.String({ minLength: 1, maxLength: 512 }),
    memory_mb: fields.memory_mb,
    vcpus: fields.vcpus,
    disk_mb: fields.disk_mb,
    read_only_root: fields.read_only_root,
  },
  { additionalProperties: false },
);
export type WarmImage = Static<typeof WarmImage>;

/** The answer. */
export interface WarmedImage {
  ref: string;
  digest: string;
  memory_mb: number;
  vcpus: number;
  disk_mb: number;
  /** next to nothing when all was there before */
  took_ms: number;
}
