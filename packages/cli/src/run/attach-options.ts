/** How a run is attached to this terminal. */
export interface AttachOptions {
  deleteAfter: boolean;
  /** the instance does not pause while we look on */
  stayAwake: boolean;
  input: boolean;
  tty: boolean;
}
