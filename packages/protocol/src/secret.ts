import Type, { type Static } from "typebox";

export const PutSecret = Type.Object(
  { value: Type.String({ minLength: 1, maxLength: 65536 }) },
  { additionalProperties: false },
);
export type PutSecret = Static<typeof PutSecret>;

export interface KeyRotated {
  /** how many are sealed with the new key */
  secrets: number;
}
