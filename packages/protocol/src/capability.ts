import Type, { type Static } from "typebox";

const count = (description: string) => Type.Optional(Type.Integer({ minimum: 0, description }));
const amount = (description: string) => Type.Optional(Type.Number({ minimum: 0, description }));
const names = (description: string) =>
  Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { description, maxItems: 256 }));

/**
 * What all instances below one may have together, stopped ones included. A field that is absent is what `max_children`
 * children of the largest size come to, so it never gives more than the other fields do; 0 is none.
 */
export const TreeBudget = Type.Object(
  {
    instances: count("instances on all levels below"),
    memory_mb: count("their memory_mb together"),
    vcpus: amount("their vcpus together"),
    disk_mb: count("their disk_mb together"),
  },
  { additionalProperties: false },
);
export type TreeBudget = Static<typeof TreeBudget>;

/** What an instance may do with instances below it. Absent or 0 means none: missing is denied. */
export const Capabilities = Type.Object(
  {
    spawn: Type.Optional(Type.Boolean({ description: "may create children" })),
    spawn_depth: count("levels of children below this instance; 1 = children that cannot spawn"),
    max_children: count("children that exist at one time"),
    allowed_images: names(
      'image references, exact or with "*" for any run of characters, or digests ("sha256:..."); "*" is any',
    ),
    max_memory_mb: count("per child"),
    max_vcpus: amount("per child"),
    max_expose_ports: count("public endpoints per child"),
    max_lifetime_s: count("per child, from its creation; absent or 0: as long as this instance lives"),
    allowed_secrets: names('names or globs of secrets that a child may be given; "*" is all'),
    allowed_workspaces: names(
      'names or globs of workspaces, and "./*" for folders in this instance\'s own workspace; never a host path',
    ),
    allowed_bindings: names("names of this instance's own bindings that a child may be given"),
    allowed_network: names('what a child\'s network may allow, as in "api.example.com:443"; "*" is everything'),
    tree: Type.Optional(TreeBudget),
  },
  { additionalProperties: false },
);
export type Capabilities = Static<typeof Capabilities>;

/** The field of a grant that a refusal comes from. */
export type CapabilityName = keyof Capabilities | `tree.${keyof TreeBudget}`;

/** The signed claims of a boot's capability token (JWT). `sub` is the instance id, `boot` its generation. */
export interface CapabilityClaims {
  iss: string;
  sub: string;
  aud: string;
  iat: number;
  exp: number;
  boot: number;
  cap: Capabilities;
}
