/** What the page of a work instance shows while there is no site yet. */
export interface WorkStatus {
  title: string;
  phase: "building" | "ready" | "failed";
  steps: string[];
  /** the agent's last words, or why it failed */
  text: string;
}
