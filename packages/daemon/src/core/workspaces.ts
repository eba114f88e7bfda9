/** Folders that outlive instances and are mounted at /workspace. */
export interface Workspaces {
  /**
   * @param workspace a name, or an absolute host path that the owner of the daemon may use
   * @throws AegisError `invalid_path` with the reason
   */
  check(workspace: string): void;
  /** The host folder, made when absent. Same errors as {@link check}. */
  open(workspace: string): Promise<string>;
}
