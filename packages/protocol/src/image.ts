import Type, { type Static } from "typebox";

/** `GET /v1/images` */
export interface ImageView {
  /** every reference that names the image, normalised: `docker.io/library/node:24` */
  refs: string[];
  /** `sha256:...` of the manifest */
  digest: string;
  size_bytes: number;
  created_at: string;
}

/** Body of `POST /v1/images/prune`. */
export const PruneImages = Type.Object(
  {
    /** also images that were made on this machine, which no registry can give again */
    all: Type.Optional(Type.Boolean()),
    /** only what no instance has booted from for so long, or since it came */
    unused_older_than_s: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);
export type PruneImages = Static<typeof PruneImages>;

/** The answer. */
export interface PrunedImages {
  /** names */
  deleted: string[];
  freed_bytes: number;
}

/** One line of the NDJSON answer of `POST /v1/images` `{ref}`. The last line is `done` or `error`. */
export type PullLine =
  | { phase: PullPhase; message: string; done_bytes: number | null; total_bytes: number | null }
  | { done: true; image: ImageView }
  | { done: true; error: string; code: string };

export type PullPhase = "resolve" | "download" | "unpack" | "finish";
