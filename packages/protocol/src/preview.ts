import Type, { type Static } from "typebox";

/** Body of `POST .../previews`: a link that only those know who were given it. */
export const CreatePreview = Type.Object(
  {
    /** an exposed HTTP port; absent: the first one */
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    /** asked for before the site is shown; kept as a hash */
    password: Type.Optional(Type.String({ minLength: 4, maxLength: 256 })),
    /** the first browser that opens the link is the only one that can */
    one_time: Type.Optional(Type.Boolean()),
    /** absent: for as long as the instance exists */
    ttl_s: Type.Optional(Type.Integer({ minimum: 1, maximum: 31_536_000 })),
  },
  { additionalProperties: false },
);
export type CreatePreview = Static<typeof CreatePreview>;

/** Times are RFC 3339. */
export interface PreviewView {
  preview_id: string;
  url: string;
  guest_port: number;
  password: boolean;
  one_time: boolean;
  created_at: string;
  /** null: as long as the instance exists */
  expires_at: string | null;
  /** when somebody was let in for the first time */
  opened_at: string | null;
}

/** Body of `PUT /v1/public-url`: where the router is reached from outside; null: nowhere. */
export const PutPublicUrl = Type.Object(
  { url: Type.Union([Type.String({ minLength: 1, maxLength: 512 }), Type.Null()]) },
  { additionalProperties: false },
);
export type PutPublicUrl = Static<typeof PutPublicUrl>;
