/** A user of the host, by its ids. */
export interface HostUser {
  uid: number;
  gid: number;
}
