import { SignJWT, jwtVerify, errors } from "jose";
import type { JWTPayload } from "jose";
import type { Capabilities } from "@aegis/protocol/capability";
import type { TokenIssuer } from "../core/token-issuer.ts";

const ISSUER = "aegisd";
const AUDIENCE = "aegis-guest";
const ALGORITHM = "HS256";
const LIFETIME_S = 3600;
/** how long tokens of the last key are good: until the running instances have their new ones */
const GRACE_MS = 60_000;

/** Capability tokens as JWTs. They repeat the grant; the host's own grant row decides. */
export class JwtIssuer implements TokenIssuer {
  readonly lifetimeMs = LIFETIME_S * 1000;
  #key: Uint8Array;
  #last: { key: Uint8Array; goodUntil: number } | null = null;
  #epoch = 0;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  get epoch(): number {
    return this.#epoch;
  }

  rekey(key: Uint8Array): void {
    this.#last = { key: this.#key, goodUntil: Date.now() + GRACE_MS };
    this.#key = key;
    this.#epoch += 1;
  }

  issue(instanceId: string, boot: number, grant: Capabilities): Promise<string> {
    return new SignJWT({ cap: grant, boot })
      .setProtectedHeader({ alg: ALGORITHM })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(instanceId)
      .setIssuedAt()
      .setExpirationTime(Math.floor((Date.now() + this.lifetimeMs) / 1000))
      .sign(this.#key);
  }

  async verify(token: string, instanceId: string, boot: number): Promise<boolean> {
    if (this.#last !== null && Date.now() >= this.#last.goodUntil) this.#last = null;
    const keys = this.#last === null ? [this.#key] : [this.#key, this.#last.key];
    for (const key of keys) if ((await payloadOf(token, key, instanceId))?.["boot"] === boot) return true;
    return false;
  }
}

async function payloadOf(token: string, key: Uint8Array, subject: string): Promise<JWTPayload | null> {
  try {
    // the age too: with a clock that was set back, the end alone would be further away than an hour
    const expected = { maxTokenAge: LIFETIME_S, algorithms: [ALGORITHM], issuer: ISSUER, audience: AUDIENCE, subject };
    return (await jwtVerify(token, key, expected)).payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}
