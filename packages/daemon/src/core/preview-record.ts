export interface PreviewRecord {
  id: string;
  /** what the link is made of: {@link PREVIEW_TOKEN} */
  token: string;
  instanceId: string;
  guestPort: number;
  /** `salt:hash`, base64url; null: no password */
  passwordHash: string | null;
  oneTime: boolean;
  /** RFC 3339 */
  createdAt: string;
  /** ms since the epoch; null: as long as the instance exists */
  expiresAt: number | null;
  /** RFC 3339; null: nobody was let in yet */
  openedAt: string | null;
}

/** 130 random bits that are also a valid label of a host name. */
export const PREVIEW_TOKEN = /^p-[a-z2-7]{26}$/;

/** Links that were made. Those of deleted instances stay for a while, so that they can say that they are over. */
export interface PreviewStore {
  insert(preview: PreviewRecord): void;
  byToken(token: string): PreviewRecord | null;
  /** oldest first */
  ofInstance(instanceId: string): PreviewRecord[];
  /** @returns false when somebody was let in before */
  markOpened(id: string, at: string): boolean;
  remove(id: string): void;
  /** where the router is reached from outside, as it was set last */
  publicUrl(): string | null;
  setPublicUrl(url: string | null): void;
}
