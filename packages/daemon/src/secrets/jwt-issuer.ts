import { SignJWT, jwtVerify, errors } from "jose";
import type { Capabilities } from "@aegis/protocol/capability";
import type { TokenIssuer } from "../core/token-issuer.ts";

const ISSUER = "aegisd";
const AUDIENCE = "aegis-guest";
const ALGORITHM = "HS256";

/** Capability tokens as JWTs. They repeat the grant; the host's own grant row decides. */
export class JwtIssuer implements TokenIssuer {
  readonly lifetimeMs = 3_600_000;
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
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
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        subject: instanceId,
      });
      return payload["boot"] === boot;
    } catch (error) {
      if (error instanceof errors.JOSEError) return false;
      throw error;
    }
  }
}
