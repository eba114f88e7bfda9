/** One thing that was looked at. `missing` is needed, `weak` works worse without. */
export interface Finding {
  name: string;
  verdict: "good" | "weak" | "missing";
  /** what was found */
  found: string;
  /** what to do about it; null where nothing is to do */
  fix: string | null;
}

export const good = (name: string, found: string): Finding => ({ name, verdict: "good", found, fix: null });
export const weak = (name: string, found: string, fix: string): Finding => ({ name, verdict: "weak", found, fix });
export const missing = (name: string, found: string, fix: string): Finding => ({
  name,
  verdict: "missing",
  found,
  fix,
});
