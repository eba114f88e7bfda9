import { randomBytes } from "node:crypto";
import { AegisError } from "@aegis/protocol/errors";
import type { CreatePreview, PreviewView } from "@aegis/protocol/preview";
import type { Instance } from "./instance.ts";
import { hashPassword } from "./preview-password.ts";
import type { PreviewRecord, PreviewStore } from "./preview-record.ts";

export interface PreviewsDeps {
  store: PreviewStore;
  /** the link that leads to a token */
  urlOf: (token: string) => string;
  /** ms since the epoch */
  now: () => number;
}

const MAX_PER_INSTANCE = 32;
const TOKEN_CHARACTERS = 26;
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** Links to the sites of instances, for people who have no account here. */
export class Previews {
  readonly #deps: PreviewsDeps;

  constructor(deps: PreviewsDeps) {
    this.#deps = deps;
  }

  /** @throws AegisError `endpoint_not_found` for a port that is not exposed as HTTP, `quota_exceeded` */
  async create(instance: Instance, body: CreatePreview): Promise<PreviewView> {
    const guestPort = exposedPort(instance, body.port);
    const passwordHash = body.password === undefined ? null : await hashPassword(body.password);
    this.#makeRoom(instance);
    const now = this.#deps.now();
    const record: PreviewRecord = {
      id: `prev-${randomBytes(6).toString("hex")}`,
      token: newToken(),
      instanceId: instance.id,
      guestPort,
      passwordHash,
      oneTime: body.one_time ?? false,
      createdAt: new Date(now).toISOString(),
      expiresAt: body.ttl_s === undefined ? null : now + body.ttl_s * 1000,
      openedAt: null,
    };
    this.#deps.store.insert(record);
    return this.#view(record);
  }

  list(instance: Instance): PreviewView[] {
    return this.#deps.store
      .ofInstance(instance.id)
      .filter((record) => !this.isOver(record))
      .map((record) => this.#view(record));
  }

  /** @throws AegisError `not_found` */
  remove(instance: Instance, previewId: string): void {
    const known = this.#deps.store.ofInstance(instance.id).some(({ id }) => id === previewId);
    if (!known) throw new AegisError("not_found", `${instance.handle} has no preview ${previewId}.`);
    this.#deps.store.remove(previewId);
  }

  /** Null for a token that was never given out, or was taken back. */
  find(token: string): PreviewRecord | null {
    return this.#deps.store.byToken(token);
  }

  isOver({ expiresAt }: PreviewRecord): boolean {
    return expiresAt !== null && expiresAt <= this.#deps.now();
  }

  /** Somebody is let in. @returns false when that was somebody else's only time */
  open(record: PreviewRecord): boolean {
    const first = this.#deps.store.markOpened(record.id, new Date(this.#deps.now()).toISOString());
    return first || !record.oneTime;
  }

  /** @throws AegisError `quota_exceeded` */
  #makeRoom(instance: Instance): void {
    const { store } = this.#deps;
    const all = store.ofInstance(instance.id);
    for (const record of all) if (this.isOver(record)) store.remove(record.id);
    if (all.filter((record) => !this.isOver(record)).length < MAX_PER_INSTANCE) return;
    throw new AegisError(
      "quota_exceeded",
      `${instance.handle} has ${MAX_PER_INSTANCE} previews, which is as many as there may be. Delete one first.`,
    );
  }

  #view(record: PreviewRecord): PreviewView {
    return {
      preview_id: record.id,
      url: this.#deps.urlOf(record.token),
      guest_port: record.guestPort,
      password: record.passwordHash !== null,
      one_time: record.oneTime,
      created_at: record.createdAt,
      expires_at: record.expiresAt === null ? null : new Date(record.expiresAt).toISOString(),
      opened_at: record.openedAt,
    };
  }
}

/** What is not exposed is nobody's to see, and only HTTP can be shown. */
function exposedPort(instance: Instance, wanted: number | undefined): number {
  const open = instance.endpoints.list().filter(({ protocol }) => protocol === "http");
  const found = open.find(({ guest_port }) => wanted === undefined || guest_port === wanted);
  if (found !== undefined) return found.guest_port;
  throw new AegisError(
    "endpoint_not_found",
    wanted === undefined
      ? `${instance.handle} exposes no HTTP port, so there is nothing to preview. Expose one first.`
      : `Port ${wanted} of ${instance.handle} is not exposed as HTTP. Expose it first.`,
  );
}

const newToken = (): string =>
  `p-${Array.from(randomBytes(TOKEN_CHARACTERS), (byte) => ALPHABET[byte % ALPHABET.length]).join("")}`;
