import { AegisError } from "@aegis/protocol/errors";

/** A reference to an image, in full: `docker.io/library/node:24`. It has a tag or a digest, never both or none. */
export interface Reference {
  registry: string;
  repository: string;
  tag: string | null;
  /** `sha256:<64 hex>` */
  digest: string | null;
}

const DEFAULT_REGISTRY = "docker.io";
const MAX_LENGTH = 512;
const REGISTRY =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Reads a reference as docker and podman do.
 * @throws AegisError `invalid_request` that names the part which is wrong
 */
export function parseReference(text: string): Reference {
  if (text === "") throw invalid(text, "it is empty");
  if (text.length > MAX_LENGTH) throw invalid(`${text.slice(0, 40)}...`, `it is longer than ${MAX_LENGTH} characters`);
  const [named = "", digest, ...more] = text.split("@");
  if (more.length > 0) throw invalid(text, 'it has more than one "@"');
  if (digest !== undefined && !DIGEST.test(digest)) {
    throw invalid(text, `the digest "${digest}" is not "sha256:" and 64 lower-case hex digits`);
  }
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const tag = hasTag ? named.slice(colon + 1) : null;
  if (tag !== null && !TAG.test(tag)) {
    throw invalid(text, `the tag "${tag}" is not 1 to 128 letters, digits, "_", "." or "-"`);
  }
  const place = splitRegistry(text, hasTag ? named.slice(0, colon) : named);
  checkRepository(text, place.repository);
  if (digest !== undefined) return { ...place, tag: null, digest };
  return { ...place, tag: tag ?? "latest", digest: null };
}

export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${digest === null ? `:${tag ?? "latest"}` : `@${digest}`}`;
}

/** The first part is a registry when it looks like a host: with a dot, a port, or `localhost`. */
function splitRegistry(text: string, name: string): { registry: string; repository: string } {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  const isHost = first === "localhost" || first.includes(".") || first.includes(":");
  if (!isHost) return { registry: DEFAULT_REGISTRY, repository: slash === -1 ? `library/${name}` : name };
  if (!REGISTRY.test(first)) throw invalid(text, `"${first}" is not the name of a registry`);
  const rest = name.slice(slash + 1);
  if (first !== "docker.io" && first !== "index.docker.io") return { registry: first.toLowerCase(), repository: rest };
  return { registry: DEFAULT_REGISTRY, repository: rest.includes("/") ? rest : `library/${rest}` };
}

function checkRepository(text: string, repository: string): void {
  for (const component of repository.replace(/^library\/(?=.)/, "").split("/")) {
    if (COMPONENT.test(component)) continue;
    if (component === "" || component === "library/") throw invalid(text, "a part of its name is empty");
    if (/[A-Z]/.test(component)) throw invalid(text, `"${component}" must be lower case`);
    throw invalid(text, `"${component}" is not letters and digits, joined by ".", "_", "__" or "-"`);
  }
}

const invalid = (text: string, why: string): AegisError =>
  new AegisError(
    "invalid_request",
    `"${text}" is not an image reference: ${why}. References look like node:24 or registry:5000/team/app@sha256:...`,
  );
