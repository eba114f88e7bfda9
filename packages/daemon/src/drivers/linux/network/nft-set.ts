import Type from "typebox";
import { Check } from "typebox/value";
import { runCommand } from "../run-command.ts";

/** One element of a set, as `nft -j` tells it. */
export interface NftElement {
  key: (string | number)[];
  /** in seconds; null for one that stays */
  expires: number | null;
}

/** More than all sets of a table can hold. */
const MAX_BYTES = 64 * 1024 * 1024;

const Key = Type.Union([
  Type.String(),
  Type.Number(),
  Type.Object({ concat: Type.Array(Type.Union([Type.String(), Type.Number()])) }),
]);
const Element = Type.Union([
  Type.Object({
    elem: Type.Object({
      val: Key,
      expires: Type.Optional(Type.Number()),
    }),
  }),
  Key,
]);
const Listing = Type.Object({
  nftables: Type.Array(Type.Object({ set: Type.Optional(Type.Object({ elem: Type.Optional(Type.Array(Element)) })) })),
});

const keyOf = (key: Type.Static<typeof Key>): (string | number)[] => (typeof key === "object" ? key.concat : [key]);

/** @throws Error for what is no listing of a set */
export function parseSet(json: string): NftElement[] {
  const listing: unknown = JSON.parse(json);
  if (!Check(Listing, listing)) throw new Error("nft lists a set in a form that is not known");
  return listing.nftables
    .flatMap(({ set }) => set?.elem ?? [])
    .map((element) => {
      if (typeof element !== "object" || !("elem" in element)) return { key: keyOf(element), expires: null };
      const { val, expires = null } = element.elem;
      return { key: keyOf(val), expires };
    });
}

/** @throws AegisError `driver_failed` when the table or the set is missing */
export const listSet = async (table: string, set: string): Promise<NftElement[]> =>
  parseSet(await runCommand("nft", ["-j", "list", "set", "inet", table, set], { maxBytes: MAX_BYTES }));
