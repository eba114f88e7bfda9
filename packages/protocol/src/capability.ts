import Type, { type Static } from "typebox";

const count = (description: string) => Type.Optional(Type.Integer({ minimum: 0, description }));
const names = (description: string) =>
  Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { description, maxItems: 256 }));

/** What an instance may do with instances below it. Absent or 0 means none: missing is denied. */
export const Capabilities = Type.Object(
  {
    spawn: Type.Optional(Type.Boolean({ description: "may create children" })),
    spawn_depth: count("levels of children below this instance; 1 = children that cannot spawn"),
    max_children: count("children that exist at one time"),
    allowed_images: names('image references, exact or glob; "*" is any'),
    max_memory_mb: count("per child"),
    max_vcpus: Type.Optional(Type.Number({ minimum: 0, description: "per child" })),
    max_expose_ports: count("public endpoints per child"),
    allowed_secrets: names("names or globs of secrets that a child may be given"),
    allowed_workspaces: names("names or globs of workspaces; never a host path"),
    allowed_bindings: names("names of this instance's own bindings that a child may be given"),
  },
  { additionalProperties: false },
);
export type Capabilities = Static<typeof Capabilities>;

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
