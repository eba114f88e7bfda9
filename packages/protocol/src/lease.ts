import Type, { type Static } from "typebox";

/** What keeps an instance awake until it expires or is given back. */
export const Lease = Type.Object({
  lease_id: Type.String(),
  reason: Type.String(),
  /** `host`, or the id of the instance that keeps itself awake */
  owner: Type.String(),
  /** RFC 3339 */
  expires_at: Type.String(),
});
export type Lease = Static<typeof Lease>;

/** A lease that is to last longer is renewed by another one. */
export const MAX_LEASE_MS = 86_400_000;

export const AcquireLease = Type.Object(
  {
    ttl_ms: Type.Integer({ minimum: 100 }),
    reason: Type.String({ minLength: 1, maxLength: 256 }),
  },
  { additionalProperties: false },
);
export type AcquireLease = Static<typeof AcquireLease>;
