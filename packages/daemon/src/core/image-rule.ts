import { AegisError } from "@aegis/protocol/errors";
import { globMatches } from "./glob.ts";
import type { Image } from "./images.ts";
import { formatReference, parseReference } from "./image-reference.ts";

/** What an entry of `allowed_images`, or an image reference, stands for. */
type Meaning =
  | { kind: "any" }
  /** one content, whatever it is called */
  | { kind: "digest"; digest: string }
  /** `registry/repository:tag` in full, stars included */
  | { kind: "name"; name: string };

const DIGEST = /(?:^|@)(sha256:[0-9a-f]{64})$/;
/** what the image store also takes for the beginning of a digest */
const DIGEST_PREFIX = /^(?:sha256:)?[0-9a-f]{6,64}$/;

/**
 * True when one of the entries names the image. A reference by digest is its content and nothing else: no name in
 * front of it makes it an image of that name, so only an entry with the digest allows it, or `*`.
 */
export function imageAllowed(allowed: readonly string[], ref: string): boolean {
  if (allowed.includes("*")) return true;
  const wanted = meaningOfReference(ref);
  return wanted !== null && allowed.map(meaningOfEntry).some((entry) => includes(entry, wanted));
}

/**
 * A reference by digest is allowed for its content, so nothing else may boot under it, whatever the store has by that name.
 * @throws AegisError `image_invalid`
 */
export function checkContent(ref: string, image: Pick<Image, "digest" | "sourceDigests">): void {
  const wanted = DIGEST.exec(ref)?.[1];
  if (wanted === undefined || wanted === image.digest || image.sourceDigests.includes(wanted)) return;
  throw new AegisError(
    "image_invalid",
    `The image ${ref} is ${image.digest} in the store, which is something else. Delete it there and pull it again.`,
  );
}

/** True when every image that `inner` allows is allowed by `outer`. */
export const imagesCover = (outer: readonly string[], inner: readonly string[]): boolean =>
  inner.every((text) => outer.some((entry) => includes(meaningOfEntry(entry), meaningOfEntry(text))));

function includes(outer: Meaning, inner: Meaning): boolean {
  switch (outer.kind) {
    case "any":
      return true;
    case "digest":
      return inner.kind === "digest" && inner.digest === outer.digest;
    case "name":
      return inner.kind === "name" && globMatches(outer.name, inner.name);
  }
}

function meaningOfEntry(text: string): Meaning {
  if (text === "*") return { kind: "any" };
  const digest = DIGEST.exec(text)?.[1];
  return digest === undefined ? { kind: "name", name: fullPattern(text) } : { kind: "digest", digest };
}

/** Null for what names no image for certain. */
function meaningOfReference(ref: string): Meaning | null {
  const digest = DIGEST.exec(ref)?.[1];
  if (digest !== undefined) return { kind: "digest", digest };
  if (DIGEST_PREFIX.test(ref)) return null;
  try {
    const reference = parseReference(ref);
    return reference.digest === null ? { kind: "name", name: formatReference(reference) } : null;
  } catch (error) {
    if (error instanceof AegisError) return null;
    throw error;
  }
}

/** Like `formatReference(parseReference(...))` for names that may hold stars. A star at the end stands for any tag too. */
function fullPattern(text: string): string {
  const named = `${registryOf(text)}/${repositoryOf(text)}`;
  const last = named.slice(named.lastIndexOf("/"));
  return last.includes(":") || last.endsWith("*") ? named : `${named}:latest`;
}

/** The first part is a registry when it looks like a host, or is nothing but a star. */
function isRegistry(first: string): boolean {
  return first === "localhost" || first === "*" || /[.:]/.test(first);
}

function registryOf(text: string): string {
  const first = text.slice(0, Math.max(text.indexOf("/"), 0));
  if (first === "" || !isRegistry(first) || first === "index.docker.io") return "docker.io";
  return first.toLowerCase();
}

function repositoryOf(text: string): string {
  const slash = text.indexOf("/");
  if (slash === -1) return `library/${text}`;
  if (!isRegistry(text.slice(0, slash))) return text;
  const rest = text.slice(slash + 1);
  return registryOf(text) === "docker.io" && !/[/*]/.test(rest) ? `library/${rest}` : rest;
}
